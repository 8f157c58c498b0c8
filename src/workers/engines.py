"""Engines that run jobs on other machines.

An engine decides only where a job runs.  There, a process of its own trains it, as on this machine (`processes.py`).
The command follows the job through its folder, so all machines must see the folder under the same path.
"""

import importlib.util
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.bad_input import BadInput
from src.config import Config
from src.data.sizes import training_image_count
from src.progress import Progress, Update
from src.runs.folder import JobFolder
from src.storage.lock import is_locked
from src.workers.processes import GRACE, LocalEngine, start_server
from src.workers.queue import Display, Task, run

POLL = 0.25  # seconds


@dataclass
class RemoteJob:
    """A job that an engine has accepted or refused."""

    task: Task
    epochs: int  # the number of epochs shown so far
    handle: Any = None
    refusal: str = ""


class RemoteEngine(ABC):
    """An engine whose jobs are followed through their folders."""

    places: int

    @abstractmethod
    def hand_over(self, config: Config, folder: Path) -> Any:
        """Let the engine call `train_here`; returns the engine's own handle."""

    @abstractmethod
    def error(self, handle: Any) -> str | None:
        """None until `train_here` has ended; then its result, or the cause if its process or machine died."""

    @abstractmethod
    def cancel(self, handle: Any) -> None:
        """Ask the engine to stop a job."""

    def submit(self, task: Task, *, live: bool) -> RemoteJob:
        """Hand a job over.  A job that the engine refuses counts as failed."""
        job = RemoteJob(task, sum(record["kind"] == "epoch" for record in JobFolder(task.folder).records()))
        try:
            job.handle = self.hand_over(task.config, task.folder)
        except Exception as error:  # sbatch's refusal, or a cluster that has gone away
            job.refusal = f"not accepted: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return job

    def wait(self, jobs: Sequence[RemoteJob]) -> None:
        """Sleep for `POLL` seconds."""
        time.sleep(POLL)

    def poll(self, job: RemoteJob) -> tuple[list[Update], str | None]:
        """One update per new epoch in the job's journal; see `Engine.poll`."""
        cause = job.refusal or self.error(job.handle)  # before the records are read: an ended job adds none
        records, config = JobFolder(job.task.folder).records(), job.task.config
        epochs = [record for record in records if record["kind"] == "epoch"]
        if len(epochs) < job.epochs:  # the code has changed, so the job started again
            job.epochs = 0
        updates = list[Update]()
        progress = Progress(job.task.name, config.epochs, 1, config.data.batch_size, updates.append)
        for source in [record["source"] for record in records if record["kind"] == "ready"][:1]:
            images = training_image_count(source["train"], config.data.validation, config.data.limit)
            for record in epochs[job.epochs :]:
                progress.epoch(record["epoch"], record["metrics"], images)
            job.epochs = len(epochs)
        return updates, cause

    def stop(self, jobs: Sequence[RemoteJob], number: int) -> None:
        """Cancel all jobs and wait until they have released their folders."""
        for job in jobs:
            if not job.refusal:
                self.cancel(job.handle)
        deadline = time.monotonic() + GRACE + 1
        while time.monotonic() < deadline and any(is_locked(job.task.folder) for job in jobs):
            time.sleep(POLL)


def check_installed(launcher: str, package: str, extra: str) -> None:
    """Raise `BadInput`, with the command that installs it, if a launcher lacks its engine's package."""
    if importlib.util.find_spec(package) is None:
        raise BadInput(f"hydra/launcher={launcher} needs: pip install 'normlab[{extra}]'")


def train_here(config: Config, folder: Path, place: Path) -> str:
    """Train a job in a process of its own; an engine calls this on the machine that it has chosen.

    `folder` is absolute, and `place` is the command's current folder.  Returns why the job has no result, or "".
    """
    os.chdir(place)
    start_server(config.data)
    # The server may have started while the engine offered another GPU.
    environment = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES",) if name in os.environ}
    (outcome,) = run(LocalEngine([environment]), [Task("", config, folder)], lambda _: True, Display())
    return outcome.error
