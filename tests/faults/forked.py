"""Commands forked from a process that has imported everything: they start in milliseconds, not seconds."""

import contextlib
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.conftest import clean_environment

PROJECT = Path(__file__).parents[2]
WARM = (
    "src.train",
    "src.sync",
    "src.job",
    "src.tracking.session",
    "src.figures.figures",
    "src.report.table",
    "src.errors.atlas",
    "torch._inductor.config",  # torch imports it for deterministic algorithms
    "hydra.core.plugins",
)


class Forked:
    """Starts commands; a context manager."""

    def __enter__(self) -> "Forked":
        command = [sys.executable, "-m", "tests.faults.forked"]
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(
            command, cwd=PROJECT, env=clean_environment(), stdin=pipe, stdout=pipe, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        with self._server:
            assert self._server.stdin is not None
            self._server.stdin.close()

    def ask(self, **question: Any) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def start(
        self, folder: Path, *words: str, module: str = "src.train", file_size: int | None = None, patience: float = 60
    ) -> "Started":
        """Run `python -m MODULE WORDS` in a folder.

        Args:
            folder: the current folder.
            words: the arguments.
            module: the command's module.
            file_size: the largest file, in bytes, that the process may write.
            patience: how many seconds it waits for a store at its end.
        """
        number = sum(path.suffix == ".said" for path in folder.iterdir())
        said = folder / f"{number}.said"
        pid = self.ask(
            do="start",
            folder=str(folder),
            said=str(said),
            words=words,
            module=module,
            file_size=file_size,
            patience=patience,
        )
        return Started(self, pid, said)

    def run(self, folder: Path, *words: str, **options: Any) -> "Done":
        """Start a command and wait for its end."""
        return self.start(folder, *words, **options).wait()


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
        """Return the output so far, both streams together."""
        return self._said.read_text()

    def send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float = 120) -> Done:
        deadline = time.monotonic() + seconds
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                self.send(9)
                raise AssertionError(f"still running after {seconds} s: {self.said()}")
            time.sleep(0.01)
        return Done(status, self.said())


def serve(questions: IO[str], answers: IO[str]) -> None:
    """Answer questions until the input ends; a forked child returns from here as its command."""
    for name in WARM:
        importlib.import_module(name)
    from src.runs.environment import environment

    environment()
    while line := questions.readline():
        question = json.loads(line)
        answer: int | None = None
        if question["do"] == "start":
            answer = os.fork()
            if answer == 0:
                become(**question)
                return
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
    said: str,
    words: Sequence[str],
    module: str,
    file_size: int | None,
    patience: float,
    **_: Mapping[str, Any],
) -> None:
    """Run a command in this process."""
    os.chdir(folder)
    for number, path in ((0, os.devnull), (1, said), (2, said)):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, number)
        os.close(handle)
    sys.argv = [module, *words]
    from src.tracking import session

    session.PATIENCE = patience
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    importlib.import_module(module).main()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
