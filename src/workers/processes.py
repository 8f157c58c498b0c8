"""One process a job: whatever a job dies of, it dies of alone.

The processes are forked by a server that has imported everything and started nothing (Python's forkserver), so that a
job begins at once.  They end when their parent does.
"""

import contextlib
import faulthandler
import gc
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import FrameType
from typing import Protocol

from src.config import Config
from src.options import Data
from src.progress import Update
from src.runs.ending import exit_reason, failure_reason, last_record
from src.runs.journal import Record
from src.stopping import Terminated
from src.storage.lock import is_owned
from src.workers.limits import check_memory, too_little_memory

# What the server imports: what every job needs, and what the command's own module imports, which each process runs
# again (not that module itself: Python warns where what it runs is there already).
# The first optimizer that is made imports torch's compiler, which would take each job 0.9 s.
PRELOAD = [
    "src.workers.fork_server",
    "src.sweep.command_line",
    "src.job",
    "src.pictures.mistakes",
    "torch._dynamo",
    "src.workers.shared",
]
CONTEXT = multiprocessing.get_context("forkserver")
SHARED_DATA = "NORMLAB_SHARED_DATA"  # tells shared.py the `data` of a configuration, as JSON
GRACE = 4.0  # seconds that a job has to stop at its last checkpoint
POLL = 0.1  # seconds between two looks


@dataclass(frozen=True)
class Task:
    """A job to be trained in a folder."""

    name: str
    config: Config
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a task: the reason why it has no result, empty where it has one."""

    task: Task
    error: str = ""


class Audience(Protocol):
    """Whoever shows how far the jobs are."""

    live: bool

    def begin(self, task: Task) -> None:
        """A job begins."""

    def report(self, task: Task, report: Update) -> None:
        """A job has come further."""

    def end(self, outcome: Outcome) -> None:
        """A job has ended."""


def start_server(data: Data) -> None:
    """Start what jobs are forked from: it imports, and reads the images that they share, while its caller goes on."""
    check_memory()
    CONTEXT.set_forkserver_preload(PRELOAD)
    os.environ[SHARED_DATA] = json.dumps(asdict(data))
    try:
        forkserver.ensure_running()
    finally:
        del os.environ[SHARED_DATA]


@dataclass
class Worker:
    """A process that trains a task in one of the slots."""

    task: Task
    slot: int
    before: Record | None  # the last line of its journal when it was begun
    process: ForkServerProcess = field(init=False)
    reports: Connection = field(init=False)

    def start(self, environment: dict[str, str], *, live: bool) -> None:
        """Fork it; raises BadInput where memory is too small for the process that forks."""
        self.reports, sender = CONTEXT.Pipe(duplex=False)
        arguments = (self.task.config, self.task.folder, sender, environment, live)
        self.process = CONTEXT.Process(target=_work, args=arguments)
        try:
            self.process.start()
        except (EOFError, ConnectionError) as error:
            raise too_little_memory("the process that starts the jobs has ended") from error
        sender.close()

    @property
    def started(self) -> bool:
        """Whether there is a process."""
        return hasattr(self, "process") and self.process.pid is not None

    def received(self) -> Iterator[Update]:
        """What it has told since it was asked last."""
        with contextlib.suppress(EOFError, OSError):
            while self.reports.poll():
                yield self.reports.recv()

    def signal(self, number: int) -> None:
        """Ask it to stop."""
        assert self.process.pid is not None
        if self.process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


class Workers:
    """Trains tasks, so many at once."""

    def __init__(self, environments: Sequence[dict[str, str]], audience: Audience) -> None:
        """One worker for each environment, whose variables are set in its processes."""
        self._environments, self._audience = environments, audience
        self._running: list[Worker] = []

    def run(self, tasks: Sequence[Task], go_on: Callable[[Outcome], bool]) -> Iterator[Outcome]:
        """The outcomes as they come; `go_on` says after each whether further tasks are begun.

        A signal stops the running tasks at their last checkpoints and is raised again.
        """
        waiting = list(tasks)
        try:
            while waiting or self._running:
                while len(self._running) < len(self._environments) and (task := self._next(waiting)) is not None:
                    waiting.remove(task)
                    self._start(task)
                for outcome in self._wait():
                    if not go_on(outcome):
                        waiting.clear()
                    yield outcome
        except BaseException as stop:
            self._stop(signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
            raise

    def _next(self, waiting: Sequence[Task]) -> Task | None:
        """The first that no other command trains; where all are being trained, one whose end is waited for."""
        free = next((task for task in waiting if not is_owned(task.folder)), None)
        return free or (waiting[0] if waiting and not self._running else None)

    def _start(self, task: Task) -> None:
        taken = {worker.slot for worker in self._running}
        worker = Worker(task, min(set(range(len(self._environments))) - taken), last_record(task.folder))
        self._running.append(worker)
        worker.start(self._environments[worker.slot], live=self._audience.live)
        self._audience.begin(task)

    def _wait(self) -> Iterator[Outcome]:
        """Hand on what is told, until somebody has ended."""
        waited_for = [thing for worker in self._running for thing in (worker.process.sentinel, worker.reports)]
        connection.wait(waited_for, POLL)
        for worker in list(self._running):
            ended = not worker.process.is_alive()  # asked first: what is told then is all that there will be
            for report in worker.received():
                self._audience.report(worker.task, report)
            if ended:
                self._running.remove(worker)
                died = exit_reason(worker.process.exitcode or 0)
                outcome = Outcome(worker.task, failure_reason(worker.task.folder, "FAILED", died, worker.before))
                self._audience.end(outcome)
                yield outcome

    def _stop(self, number: int) -> None:
        """Let all stop; who does not within seconds, or at once where the user asks again, is killed."""
        deadline = time.monotonic() + GRACE
        # One that waits for the server to be ready has no process yet; what is forked later ends with this process.
        started = [worker for worker in self._running if worker.started]
        try:
            for worker in started:
                worker.signal(number)
            for worker in started:
                worker.process.join(max(deadline - time.monotonic(), 0))
        finally:
            for worker in started:
                worker.process.kill()
                worker.process.join()
                failure_reason(worker.task.folder, "KILLED", "the command was stopped", worker.before)


def _work(config: Config, folder: Path, reports: Connection, environment: dict[str, str], live: bool) -> None:
    """A process's whole life; what it says goes to the job's log."""
    gc.freeze()  # what the server has imported is neither looked through nor, page by page, copied
    _stop_once()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / "train.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable()
    from src.job import run_job  # the server has imported it; the parent does without torch

    def tell(report: Update) -> None:
        with contextlib.suppress(OSError):  # nobody looks on any more
            reports.send(report)

    try:
        run_job(config, folder, tell, live=live)
    except BaseException:
        sys.exit(1)  # told in its journal and log


def _stop_once() -> None:
    """The first signal stops the job; what follows, such as Ctrl-C that reaches parent and child, is left unheard."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(f"signal {number}")

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
