"""The local engine: one process per job, so a crash ends only one job.

A fork server that has imported all modules forks these processes, so a job starts in 0.1 s.  The server and the
processes end with the command.
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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import FrameType

from src.config import Config
from src.datasets import Data
from src.progress import Update
from src.runs.ending import exit_reason
from src.stopping import Terminated
from src.workers.machine import check_job_memory, gpu_names, job_memory_refusal
from src.workers.queue import Task

# The modules that a job or `src.train` imports.  `src.train` itself is missing, because each process runs it again and
# Python would warn about that.  The first optimizer of a process imports torch._dynamo, which takes 0.9 s.
PRELOADED_MODULES = ["src.workers.fork_server", "src.sweep.command_line", "src.job", "src.pictures.mistakes"]
PRELOADED_MODULES += ["torch._dynamo", "src.workers.shared"]
FORK_SERVER_CONTEXT = multiprocessing.get_context("forkserver")
SHARED_DATA_VARIABLE = "NORMLAB_SHARED_DATA"  # environment variable: the data configuration for shared.py, as JSON
STOP_TIMEOUT = 4.0  # seconds that a stopped job may take to end
MAX_WAIT = 0.1  # longest wait for news of the jobs, in seconds


def start_fork_server(data: Data) -> None:
    """Start the fork server; it imports modules and reads the jobs' images while the caller continues."""
    check_job_memory()
    FORK_SERVER_CONTEXT.set_forkserver_preload(PRELOADED_MODULES)
    os.environ[SHARED_DATA_VARIABLE] = json.dumps(asdict(data))
    try:
        forkserver.ensure_running()
    finally:
        del os.environ[SHARED_DATA_VARIABLE]


@dataclass
class Worker:
    """The process of one job."""

    slot: int  # position of its environment variables in `LocalEngine`'s list
    process: ForkServerProcess
    pipe: Connection  # receives the job's updates
    gpu_name: str  # see `Engine`


class LocalEngine:
    """Runs jobs as processes of this machine."""

    def __init__(self, environments: Sequence[dict[str, str]]) -> None:
        """Create one slot for each of `environments`, the environment variables that the slot's processes set."""
        self._environments, self.slots = environments, len(environments)
        self._gpu_names = gpu_names(environments)
        self._workers: list[Worker] = []

    def submit(self, task: Task, *, live: bool) -> Worker:
        """Start a process for a job; raises `BadInput` if the fork server has run out of memory."""
        slot = min(set(range(self.slots)) - {worker.slot for worker in self._workers})
        pipe, sender = FORK_SERVER_CONTEXT.Pipe(duplex=False)
        arguments = (task.config, task.folder, sender, self._environments[slot], live)
        process = FORK_SERVER_CONTEXT.Process(target=_run_job_process, args=arguments)
        worker = Worker(slot, process, pipe, self._gpu_names[slot])
        self._workers.append(worker)  # added before the start, because a signal may arrive during the start
        start_process(process)
        sender.close()
        return worker

    def wait(self, workers: Sequence[Worker]) -> None:
        """Sleep until a process reports or ends, `MAX_WAIT` seconds at most."""
        connection.wait([event for worker in workers for event in (worker.process.sentinel, worker.pipe)], MAX_WAIT)

    def poll(self, worker: Worker) -> tuple[list[Update], str | None]:
        """Return the updates that a process has sent, and the cause once it has ended; see `Engine.poll`."""
        is_alive, updates = worker.process.is_alive(), list[Update]()  # asked first: an ended process sends nothing
        with contextlib.suppress(EOFError, OSError):
            while worker.pipe.poll():
                updates.append(worker.pipe.recv())
        if is_alive:
            return updates, None
        self._workers.remove(worker)
        return updates, exit_reason(worker.process.exitcode or 0)

    def stop(self, workers: Sequence[Worker], signal_number: int) -> None:
        """Send a signal to all processes; kill them after `STOP_TIMEOUT` seconds, or at once after a second Ctrl-C."""
        deadline = time.monotonic() + STOP_TIMEOUT
        # A process without an id still waits for the fork server; if it is forked later, it ends with the command.
        started_processes = [worker.process for worker in self._workers if worker.process.pid is not None]
        try:
            for process in started_processes:
                with contextlib.suppress(ProcessLookupError):
                    if process.is_alive():
                        os.kill(process.pid or 0, signal_number)
            for process in started_processes:
                process.join(max(deadline - time.monotonic(), 0))
        finally:
            for process in started_processes:
                process.kill()
                process.join()


def start_process(process: ForkServerProcess) -> None:
    """Let the fork server start a process; raises `BadInput` if the server has run out of memory."""
    try:
        process.start()
    except (EOFError, ConnectionError) as error:
        raise job_memory_refusal() from error


def _run_job_process(config: Config, folder: Path, pipe: Connection, environment: dict[str, str], live: bool) -> None:
    """Train one job and end: the main function of a job's process.  Its output goes to the job's log."""
    gc.freeze()  # otherwise the collector touches, and so copies, memory that the fork server shares
    _stop_at_first_signal()
    end_with_parent()
    os.environ.update(environment)
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / "train.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable()
    from src.job import run_job  # imports torch, which the command's own process does not need

    def send(update: Update) -> None:
        with contextlib.suppress(OSError):  # the command has ended and reads no more
            pipe.send(update)

    try:
        run_job(config, folder, send, live=live)
    except BaseException:
        sys.exit(1)  # `run_job` has already written the reason to the journal and the log


def _stop_at_first_signal() -> None:
    """Stop this job at the first signal and ignore later ones: after Ctrl-C the command signals its jobs once more."""

    def stop(signal_number: int, frame: FrameType | None) -> None:
        for stop_signal in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop_signal, signal.SIG_IGN)
        raise KeyboardInterrupt if signal_number == signal.SIGINT else Terminated(f"received signal {signal_number}")

    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop_signal, stop)


def end_with_parent() -> None:
    """Start a thread that kills this process when the process that started it has ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_for_parent() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait_for_parent, daemon=True).start()
