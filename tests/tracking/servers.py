"""A real `mlflow server`, and a proxy in front of it that fails like a network."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.conftest import clean_environment

# Faults of the proxy. The server receives the request unchanged only with the last three.
HANG = "hang"  # no answer
LATE = "late"  # no answer; the server gets the request when `late` is set
ERROR = "500"
HTML = "html"  # 200 and a page, such as the login page of a network
EMPTY = "empty"  # 200 and an empty body
GONE = "gone"  # the connection is reset
CUT = "cut"  # half of the body reaches the server, then both connections are reset
LOST = "lost"  # executed, but the answer is lost
TRUNCATED = "truncated"  # executed, but half of the answer arrives, with the half's length
SHORT = "short"  # executed, but half of the answer arrives, with the whole length
GARBAGE = (HTML, EMPTY, TRUNCATED, SHORT)
# Final answers of a proxy or a login.
UNAUTHORIZED, FORBIDDEN, TOO_LARGE = "401", "403", "413"


# Without this a server starts six more processes for language models, which costs 10 s of CPU time.
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(store: Path, folder: Path) -> Iterator["Server"]:
    """A server in a folder with a copy of a store's file."""
    shutil.copy(store, folder / "mlflow.db")
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


class Server:
    """`mlflow server` with a database and artifacts in a folder."""

    def __init__(self, folder: Path) -> None:
        self.database, self.artifacts = folder / "mlflow.db", folder / "artifacts"
        self._log = folder / "server.log"
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["server", "--workers", "1", "--host", "127.0.0.1", "--port", str(self.port)]
        words += ["--backend-store-uri", f"sqlite:///{self.database}", "--artifacts-destination", str(self.artifacts)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *words],
                stdout=log,
                stderr=log,
                env=clean_environment() | QUIET,
                start_new_session=True,  # its workers are killed with it
            )
        deadline = time.monotonic() + 240  # on a busy machine, the imports alone take a minute
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            urlopen(f"{self.uri}/health", timeout=5).close()
        except HTTPError as error:
            error.close()
            return False
        except OSError:
            return False
        return True

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Suspend it; requests wait in its sockets."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def empty(self) -> None:
        """Delete all runs and experiments for the next test."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=20)) as database, database:
            for table in ("metrics", "latest_metrics", "params", "tags", "inputs", "input_tags", "datasets", "runs"):
                database.execute(f"DELETE FROM {table}")
            database.execute("DELETE FROM experiment_tags")
            database.execute("DELETE FROM experiments WHERE experiment_id > 0")

    def copy(self, path: Path) -> None:
        """The database as it is now."""
        source, target = sqlite3.connect(self.database, timeout=20), sqlite3.connect(path)
        with contextlib.closing(source), contextlib.closing(target):
            source.backup(target)


@dataclass
class Request:
    """A request; `number` counts from 1."""

    number: int
    method: str
    path: str

    @property
    def creates_run(self) -> bool:
        return self.path.endswith("/runs/create")

    @property
    def uploads(self) -> bool:
        return self.method == "PUT"


Fault = Callable[[Request], str | None]


def no_fault(request: Request) -> str | None:
    return None


@dataclass
class Proxy:
    """Forwards requests to a server; `fault` chooses what happens to each, by default nothing."""

    server: Server
    fault: Fault = no_fault
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._released = threading.Event()
        self.late, self.arrived = threading.Event(), threading.Event()
        self._listener = _Listener(("127.0.0.1", 0), self._handler())
        self.uri = f"http://127.0.0.1:{self._listener.server_address[1]}"
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._released.set()
        self._listener.shutdown()
        self._listener.server_close()

    def answer(self, handler: "BaseHTTPRequestHandler") -> None:
        with self._lock:
            request = Request(len(self.requests) + 1, handler.command, handler.path.partition("?")[0])
            self.requests.append(request)
        fault = self.fault(request)
        if fault == HANG:
            self._released.wait(600)
            _reset(handler.connection)
            return
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if fault == LATE:
            self.late.wait(600)
            self._forward(handler, body)
            self.arrived.set()
        if fault in (GONE, LATE):
            _reset(handler.connection)
        elif fault == ERROR:
            _send(handler, 500, b"Internal Server Error\n\n  at line 1\n  at line 2")
        elif fault in (UNAUTHORIZED, FORBIDDEN, TOO_LARGE):
            _send(handler, int(fault), b"<html><h1>nginx says no</h1></html>")
        elif fault == HTML:
            _send(handler, 200, b"<html>\n<body>\nPlease log in.\n</body>\n</html>")
        elif fault == EMPTY:
            _send(handler, 200, b"")
        elif fault == CUT:
            self._forward_half(handler, body)
        else:
            status, said = self._forward(handler, body)
            half = said[: len(said) // 2]
            if fault == LOST:
                _reset(handler.connection)
            elif fault == TRUNCATED:
                _send(handler, status, half)
            elif fault == SHORT:
                _send(handler, status, half, len(said) + 1)
            else:
                _send(handler, status, said)

    def _forward(self, handler: "BaseHTTPRequestHandler", body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request(handler.command, handler.path, body, _headers(handler))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _forward_half(self, handler: "BaseHTTPRequestHandler", body: bytes) -> None:
        head = [f"{handler.command} {handler.path} HTTP/1.1", *(f"{k}: {v}" for k, v in _headers(handler).items())]
        with socket.create_connection(("127.0.0.1", self.server.port)) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode() + body[: len(body) // 2])
            time.sleep(0.1)  # until the server has it
            _reset(connection)
        _reset(handler.connection)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                with contextlib.suppress(OSError):  # whoever asked may be gone
                    proxy.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a connection that was reset on purpose


def _headers(handler: BaseHTTPRequestHandler) -> dict[str, str]:
    return {name: value for name, value in handler.headers.items() if name.lower() != "connection"}


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, length: int | None = None) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
