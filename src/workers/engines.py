"""What all engines have in common: jobs are handed over, and their folders tell what became of them.

An engine only says where a job runs.  There a process of its own trains it, as on this machine (`processes.py`): what
it dies of is its own affair, and is told on the spot.  The folders must be the same, under the same names, everywhere.
"""

import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from src.config import Config
from src.data.sizes import train_images
from src.progress import Progress, Update
from src.runs.ending import failure_reason, last_record
from src.runs.folder import JobFolder
from src.runs.journal import Record
from src.storage.lock import is_owned
from src.workers.processes import GRACE, Audience, Outcome, Task, Workers, start_server

POLL = 0.25  # seconds between two looks at engine and folders


class Engine(Protocol):
    """Where jobs run; a handle is whatever it knows a job by."""

    @property
    def places(self) -> int:
        """How many jobs it is given at once."""

    def submit(self, config: Config, folder: Path) -> Any:
        """Hand a job over to be trained by `train_here`; returns its handle."""

    def ended(self, handle: Any) -> str | None:
        """None while a job waits or runs; then why the engine itself broke it off, empty where it did not."""

    def stop(self, handle: Any) -> None:
        """Let a job stop soon."""


@dataclass
class Handed:
    """A job in an engine's hands."""

    task: Task
    handle: Any
    epochs: int  # that have been told
    before: Record | None  # the last line of its journal when it was handed over


def run(
    engine: Engine, tasks: Sequence[Task], go_on: Callable[[Outcome], bool], audience: Audience
) -> Iterator[Outcome]:
    """The outcomes as they come; `go_on` says after each whether further jobs are handed over.

    A signal stops those that are with the engine, and is raised again.
    """
    waiting, running = list(tasks), list[Handed]()
    try:
        while waiting or running:
            while waiting and len(running) < max(engine.places, 1):
                task = waiting.pop(0)
                audience.begin(task)
                before = last_record(task.folder)
                epochs = _epochs(JobFolder(task.folder).records())
                running.append(Handed(task, _submit(engine, task), epochs, before))
            for handed in list(running):
                died = handed.handle.reason if isinstance(handed.handle, Refused) else engine.ended(handed.handle)
                follow(handed, audience)
                if died is not None:
                    running.remove(handed)
                    outcome = Outcome(
                        handed.task,
                        failure_reason(handed.task.folder, "FAILED", died or "it left no result", handed.before),
                    )
                    audience.end(outcome)
                    if not go_on(outcome):
                        waiting.clear()
                    yield outcome
            time.sleep(POLL)
    except BaseException:
        for handed in running:
            if not isinstance(handed.handle, Refused):
                engine.stop(handed.handle)
        deadline = time.monotonic() + GRACE + 1
        while time.monotonic() < deadline and any(is_owned(handed.task.folder) for handed in running):
            time.sleep(POLL)
        for handed in running:
            failure_reason(handed.task.folder, "KILLED", "the command was stopped", handed.before)
        raise


@dataclass(frozen=True)
class Refused:
    """Stands for the handle of a job that an engine did not take."""

    reason: str


def _submit(engine: Engine, task: Task) -> Any:
    try:
        return engine.submit(task.config, task.folder)
    except Exception as error:  # sbatch's refusal, a cluster that is gone
        return Refused(f"not taken: {type(error).__name__}: {' '.join(str(error).split())[:200]}")


def follow(handed: Handed, audience: Audience) -> None:
    """Tell of the epochs that a job's journal has gained."""
    records, config = JobFolder(handed.task.folder).records(), handed.task.config
    if _epochs(records) < handed.epochs:  # of other code: the job has begun again
        handed.epochs = 0
    sizes = [record["source"]["train"] for record in records if record["kind"] == "ready"]
    listener = functools.partial(audience.report, handed.task)
    progress = Progress(handed.task.name, config.epochs, 1, config.data.batch_size, listener)
    for record in records if sizes else ():
        if record["kind"] == "epoch" and record["epoch"] > handed.epochs:
            handed.epochs = record["epoch"]
            images = train_images(sizes[0], config.data.validation, config.data.limit)
            progress.epoch(record["epoch"], record["metrics"], images)


def _epochs(records: Sequence[Record]) -> int:
    return sum(record["kind"] == "epoch" for record in records)


def train_here(config: Config, folder: Path, place: Path) -> str:
    """What an engine calls where it has room: train a job in a process of its own.

    Args:
        config: what to train.
        folder: where; absolute, and the same folder for all machines.
        place: the command's current folder.

    Returns:
        Why there is no result; empty where there is one.
    """
    os.chdir(place)
    start_server(config.data)
    # The server that jobs are forked from may have begun under another choice of the engine's.
    environment = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES",) if name in os.environ}
    (outcome,) = Workers([environment], Nobody()).run([Task("", config, folder)], lambda _: True)
    return outcome.error


class Nobody:
    """The journal is what tells the command."""

    live = False

    def begin(self, task: Task) -> None:  # noqa: D102
        pass

    def report(self, task: Task, report: Update) -> None:  # noqa: D102
        pass

    def end(self, outcome: Outcome) -> None:  # noqa: D102
        pass
