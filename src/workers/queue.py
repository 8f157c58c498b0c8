"""The queue of a sweep's jobs: starts them on an engine, follows them, and records how each one ended."""

import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from src.config import Config, SweepLimits
from src.progress import Update
from src.runs.ending import failure_reason, read_last_record
from src.runs.journal import Record
from src.stopping import Terminated
from src.storage.lock import is_locked


@dataclass(frozen=True)
class Task:
    """A job to train, and the folder to train it in."""

    name: str
    config: Config
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    task: Task
    error: str = ""  # why the job has no result; empty for a finished job


class Display:
    """Shows nothing; a subclass shows the progress of the jobs."""

    live = False  # whether jobs must send updates within an epoch

    def show_start(self, task: Task, gpu: str = "") -> None:
        """Show that a job has started, and on which GPU if there are several."""

    def show_progress(self, task: Task, update: Update) -> None:
        """Show a job's progress."""

    def show_end(self, outcome: Outcome) -> None:
        """Show that a job has ended."""


class Engine(Protocol):
    """Runs jobs on this machine or on other machines.

    A handle is the engine's own object for a submitted job.  Its attribute `gpu_name` names the GPU that trains the
    job; it is empty if jobs do not choose between GPUs.
    """

    @property
    def slots(self) -> int:
        """How many jobs may be submitted at once."""

    def submit(self, task: Task, *, live: bool) -> Any:
        """Start or queue a job and return its handle."""

    def wait(self, handles: Sequence[Any]) -> None:
        """Sleep until a job reports or ends, a fraction of a second at most."""

    def poll(self, handle: Any) -> tuple[list[Update], str | None]:
        """Return a job's new updates, and None while it runs; after its end, the cause, or "" for an unknown cause."""

    def stop(self, handles: Sequence[Any], signal_number: int) -> None:
        """Stop jobs at their last checkpoints, as the signal `signal_number` would, and end all idle processes."""


class FailurePolicy:
    """Decides whether a sweep continues after failed jobs."""

    def __init__(self, limits: SweepLimits) -> None:
        self._limits = limits
        self._counts = Counter[str]()
        self.stop_reason = ""  # why the sweep must not continue; empty while it may

    def may_continue_after(self, outcome: Outcome) -> bool:
        """Count a job's outcome; returns whether further jobs may start."""
        if outcome.error and not self.stop_reason:
            diverged = outcome.error.startswith("Diverged")  # a result of this method, and no fault of the sweep
            failure_kind = re.sub(r"\d+", "#", outcome.error)  # errors that differ only in numbers count as one kind
            self._counts[failure_kind] += 1
            if self._limits.on_failure == "stop":
                self.stop_reason = "a job failed (sweep.on_failure=stop)"
            elif not diverged and self._counts[failure_kind] >= self._limits.same_failures:
                self.stop_reason = f"{self._counts[failure_kind]} jobs failed for the same reason (sweep.same_failures)"
        return not self.stop_reason


@dataclass
class _RunningJob:
    task: Task
    earlier_record: Record | None  # the journal's last record at submission; an earlier attempt wrote it
    handle: Any = None


def run_tasks(
    engine: Engine, tasks: Sequence[Task], may_continue_after: Callable[[Outcome], bool], display: Display
) -> Iterator[Outcome]:
    """Run all tasks and yield each job's outcome; start no more jobs once `may_continue_after(outcome)` is false.

    A Ctrl-C or SIGTERM stops the running jobs at their last checkpoints; its exception is raised again.
    """
    waiting_tasks, jobs = list(tasks), list[_RunningJob]()
    try:
        while waiting_tasks or jobs:
            while len(jobs) < max(engine.slots, 1) and (task := _next_task(waiting_tasks, engine_is_idle=not jobs)):
                waiting_tasks.remove(task)
                jobs.append(_RunningJob(task, read_last_record(task.folder)))
                jobs[-1].handle = engine.submit(task, live=display.live)
                display.show_start(task, jobs[-1].handle.gpu_name)
            engine.wait([job.handle for job in jobs])
            for job in list(jobs):
                updates, cause = engine.poll(job.handle)
                for update in updates:
                    display.show_progress(job.task, update)
                if cause is not None:
                    jobs.remove(job)
                    status = "KILLED" if cause.startswith("Terminated") else "FAILED"
                    error = failure_reason(job.task.folder, status, cause or "it left no result", job.earlier_record)
                    outcome = Outcome(job.task, error)
                    display.show_end(outcome)
                    if not may_continue_after(outcome):
                        waiting_tasks.clear()
                    yield outcome
        engine.stop([], signal.SIGTERM)
    except BaseException as interruption:
        submitted_jobs = [job for job in jobs if job.handle is not None]
        try:
            signal_number = signal.SIGTERM if isinstance(interruption, Terminated) else signal.SIGINT
            engine.stop([job.handle for job in submitted_jobs], signal_number)
        finally:
            for job in submitted_jobs:
                failure_reason(job.task.folder, "KILLED", "the command was stopped", job.earlier_record)
        raise


def _next_task(waiting_tasks: Sequence[Task], *, engine_is_idle: bool) -> Task | None:
    """Return the first task that no other command trains; if others train all tasks, an idle engine waits for one."""
    free_task = next((task for task in waiting_tasks if not is_locked(task.folder)), None)
    return free_task or (waiting_tasks[0] if waiting_tasks and engine_is_idle else None)
