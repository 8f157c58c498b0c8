"""Commands forked from a process that has imported everything: they start in milliseconds, not seconds."""

import atexit
import contextlib
import gc
import importlib
import itertools
import json
import multiprocessing.util
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO, Any, NoReturn

PROJECT = Path(__file__).parents[1]
WARM = (
    "src.train",
    "src.sync",
    "src.compare",
    "src.job",
    "src.tracking.session",
    "src.figures.figures",
    "src.report.report",
    "src.report.table",
    "src.errors.atlas",
    "src.pictures.mistakes",
    "torch._dynamo",  # a process's first optimizer imports it
    "torch._inductor.config",  # torch imports it for deterministic algorithms
)
SLOW_IMPORTS = ("torch", "torchvision", "mlflow", "sqlalchemy", "matplotlib", "pandas")


def clean_environment() -> dict[str, str]:
    """The machine's environment without what would lead a command elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HYDRA_"))}


@dataclass
class Forked:
    """Starts commands; a context manager, which several threads may use.

    Args:
        quick: the commands cannot import `SLOW_IMPORTS`.
    """

    quick: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)  # one question at a time

    def __enter__(self) -> "Forked":
        words, pipe = [sys.executable, "-m", "tests.forks", *["quick"] * self.quick], subprocess.PIPE
        self._server = subprocess.Popen(words, cwd=PROJECT, env=clean_environment(), stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        with self._server:
            assert self._server.stdin is not None
            self._server.stdin.close()

    def ask(self, **question: Any) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with self._lock:
            self._server.stdin.write(json.dumps(question) + "\n")
            self._server.stdin.flush()
            return json.loads(self._server.stdout.readline())

    def start(
        self,
        folder: Path,
        *words: str,
        module: str = "src.train",
        streams: tuple[Path, Path] | None = None,
        variables: Mapping[str, str] | None = None,
        file_size: int | None = None,
        patience: float | None = None,
        before: Sequence[Any] | None = None,
        new_servers: bool = False,
    ) -> "Started":
        """Run `python -m MODULE WORDS` in a folder.

        Args:
            folder: the current folder.
            words: the arguments.
            module: the command's module.
            streams: the files that receive the output and the errors; by default one file in the folder.
            variables: these are added to the environment.
            file_size: the largest file, in bytes, that the process may write.
            patience: how many seconds it waits for a store at its end.
            before: a module, the name of a function there and its arguments; the process calls it before the command.
            new_servers: the servers of multiprocessing, such as the one that forks the jobs, start as new processes,
                which import torch for 3 seconds.  Modules on a PYTHONPATH need this too.
        """
        if streams is None:
            said = folder / f"{sum(path.suffix == '.said' for path in folder.iterdir())}.said"
            streams = said, said
        pid = self.ask(
            do="start",
            folder=str(folder),
            streams=[str(path) for path in streams],
            words=words,
            module=module,
            variables=variables or {},
            file_size=file_size,
            patience=patience,
            before=before,
            new_servers=new_servers or "PYTHONPATH" in (variables or {}),
        )
        return Started(self, pid, streams[0])

    def run(self, folder: Path, *words: str, **options: Any) -> "Done":
        """Start a command and wait for its end."""
        return self.start(folder, *words, **options).wait()

    def train(self, config: Any, folder: Path, **options: Any) -> "Started":
        """Train one job in a process that has run no backward pass, after which torch allows no fork."""
        before = (__name__, "train_and_end", pickle.dumps(config).hex(), str(folder))
        return self.start(folder.parent, before=before, **options)

    def command(self, folder: Path, module: str, *words: str, **variables: str) -> "CompletedProcess[str]":
        """Run a command like `subprocess.run`, which leaves no file with its output in the folder."""
        with tempfile.TemporaryDirectory() as output:
            streams = Path(output) / "stdout", Path(output) / "stderr"
            done = self.start(folder, *words, module=module, streams=streams, variables=variables).wait()
            return CompletedProcess([module, *words], done.status, done.said, streams[1].read_text())


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit status, negative for a signal, and its output."""

    status: int
    said: str


@dataclass
class Started:
    """A running command."""

    server: Forked
    pid: int
    _said: Path
    _status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, None while the command runs."""
        if self._status is None:
            self._status = self.server.ask(do="poll", pid=self.pid)
        return self._status

    def said(self) -> str:
        """Return the output so far."""
        return self._said.read_text()

    def send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float = 300) -> Done:
        deadline = time.monotonic() + seconds
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                self.send(9)
                raise AssertionError(f"still running after {seconds} s: {self.said()}")
            time.sleep(0.01)
        return Done(status, self.said())


def serve(questions: IO[str], answers: IO[str], *, quick: bool) -> None:
    """Answer questions until the input ends; each command runs in a forked child."""
    if quick:
        sys.modules.update(dict.fromkeys(SLOW_IMPORTS))
        importlib.import_module("src.train")
    else:
        for name in WARM:
            importlib.import_module(name)
        from src.runs.environment import environment

        environment()
    from hydra.core.plugins import Plugins

    Plugins.instance()  # imports all of Hydra's plugins
    gc.freeze()  # otherwise the collector touches, and so copies, memory that the commands share
    while line := questions.readline():
        question = json.loads(line)
        answer: int | None = None
        if question["do"] == "start":
            answer = os.fork()
            if answer == 0:
                become(**question)
        else:
            with contextlib.suppress(ChildProcessError):
                pid, code = os.waitpid(question["pid"], os.WNOHANG)
                answer = os.waitstatus_to_exitcode(code) if pid else None
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # an orderly end would take seconds


def become(
    *,
    folder: str,
    streams: Sequence[str],
    words: Sequence[str],
    module: str,
    variables: Mapping[str, str],
    file_size: int | None,
    patience: float | None,
    before: Sequence[Any] | None,
    new_servers: bool,
    **_: Any,
) -> NoReturn:
    """Run a command in this process and end the process as Python would, but without freeing all memory."""
    os.chdir(folder)
    for number, path in enumerate((os.devnull, *streams)):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, number)
        os.close(handle)
    os.environ.update(variables)
    command = importlib.import_module(module)
    sys.argv = [str(command.__file__), *words]
    sys.modules["__main__"].__spec__ = command.__spec__  # processes that the command starts import its main module
    if patience is not None:
        from src.tracking import session

        session.PATIENCE = patience
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    if not new_servers:
        multiprocessing.util.spawnv_passfds = fork_python
    status = 0
    try:
        if before is not None:
            getattr(importlib.import_module(before[0]), before[1])(*before[2:])
        command.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def fork_python(_: bytes, words: Sequence[str], handles: Sequence[int]) -> int:
    """Fork a server of multiprocessing: the replacement of `multiprocessing.util.spawnv_passfds`.

    Args:
        words: the server's command line, which ends with `-c` and the code.
        handles: the files that it inherits.
    """
    if pid := os.fork():
        return pid
    try:
        for first, last in itertools.pairwise([2, *sorted(handles), os.sysconf("SC_OPEN_MAX")]):
            os.closerange(first + 1, last)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        forkserver._forkserver._lock = threading.Lock()  # the command has locked the other one
        exec(words[-1], {})
    except SystemExit:
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def train_and_end(config: str, folder: str) -> NoReturn:
    """Train a pickled configuration in this process; the exit status is 1 after a failure."""
    from src.job import run_job

    try:
        run_job(pickle.loads(bytes.fromhex(config)), Path(folder))
    except OSError:
        sys.exit(1)  # the job's log has the reason
    sys.exit(0)


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout, quick="quick" in sys.argv)
