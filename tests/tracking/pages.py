"""MLflow's own page: a server for a store, and the flags of the browser that looks at it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")  # playwright's own download is 170 MB and not for a test to fetch
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def mlflow_ui(uri: str, folder: Path) -> Iterator[str]:
    """Serve the store as `mlflow ui` does, on a free port; yield the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", str(port)]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log_path = folder / "server.log"
    with log_path.open("wb") as log:
        server = subprocess.Popen(
            [*command, "--workers", "1"],  # four by default: four times the start's work on two cores
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the web worker is its child: one signal to the group ends both
        )
        try:
            deadline = time.monotonic() + 90
            while not answers(address + "health"):
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail("mlflow ui did not start:\n" + log_path.read_text()[-2000:])
                time.sleep(0.2)
            yield address
        finally:
            stop(server)


def answers(address: str) -> bool:
    """Tell whether a server is there."""
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except OSError:
        return False


def stop(server: subprocess.Popen[bytes]) -> None:
    """End a server and its children, kindly first."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, kind)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
            return
