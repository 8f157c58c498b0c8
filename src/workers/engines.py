"""Engines that run jobs on other machines.

An engine only chooses the machine.  On that machine a separate process trains the job, as `processes.py` does here.
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
from src.workers.processes import STOP_TIMEOUT, LocalEngine, start_fork_server
from src.workers.queue import Display, Task, run_tasks

POLL_INTERVAL = 0.25  # seconds between two checks of the jobs


@dataclass
class RemoteJob:
    """A job that was passed to an engine."""

    task: Task
    shown_epochs: int  # the number of epochs shown so far
    handle: Any = None  # the engine's own object for the job
    refusal: str = ""  # why the engine refused the job; empty if it accepted the job


class RemoteEngine(ABC):
    """Follows jobs on other machines through their folders; a subclass starts and cancels the jobs."""

    slots: int

    @abstractmethod
    def start_training(self, config: Config, folder: Path) -> Any:
        """Ask the engine to call `train_here` for a job; returns the engine's own object for that job."""

    @abstractmethod
    def training_error(self, handle: Any) -> str | None:
        """Return None while `train_here` runs, then its result, or the cause if its process or machine died."""

    @abstractmethod
    def cancel(self, handle: Any) -> None:
        """Ask the engine to stop a job."""

    def submit(self, task: Task, *, live: bool) -> RemoteJob:
        """Pass a job to the engine.  A job that the engine refuses counts as failed."""
        job = RemoteJob(task, sum(record["kind"] == "epoch" for record in JobFolder(task.folder).records()))
        try:
            job.handle = self.start_training(task.config, task.folder)
        except Exception as error:  # for example, sbatch refuses the job or the cluster is gone
            job.refusal = f"the cluster refused the job: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return job

    def gpu_name(self, job: RemoteJob) -> str:
        """Return an empty string, because the engine chooses the GPU later."""
        return ""

    def wait(self, jobs: Sequence[RemoteJob]) -> None:
        """Sleep for `POLL_INTERVAL` seconds, because a job on another machine cannot wake this process."""
        time.sleep(POLL_INTERVAL)

    def poll(self, job: RemoteJob) -> tuple[list[Update], str | None]:
        """Return an update per new epoch in the job's journal, and the cause once it has ended; see `Engine.poll`."""
        cause = job.refusal or self.training_error(job.handle)  # asked first: an ended job adds no record
        records, config = JobFolder(job.task.folder).records(), job.task.config
        epochs = [record for record in records if record["kind"] == "epoch"]
        if len(epochs) < job.shown_epochs:  # the job restarted because the code has changed
            job.shown_epochs = 0
        updates = list[Update]()
        progress = Progress(job.task.name, config.epochs, 1, config.data.batch_size, updates.append)
        for source in [record["source"] for record in records if record["kind"] == "ready"][:1]:
            own_validation, data = source.get("validation", 0), config.data
            images = training_image_count(source["train"], own_validation, data.validation, data.limit)
            for record in epochs[job.shown_epochs :]:
                progress.epoch(record["epoch"], record["metrics"], images)
            job.shown_epochs = len(epochs)
        return updates, cause

    def stop(self, jobs: Sequence[RemoteJob], signal_number: int) -> None:
        """Cancel all jobs and wait until their processes have released the folders."""
        for job in jobs:
            if not job.refusal:
                self.cancel(job.handle)
        deadline = time.monotonic() + STOP_TIMEOUT + 1
        while time.monotonic() < deadline and any(is_locked(job.task.folder) for job in jobs):
            time.sleep(POLL_INTERVAL)


def check_installed(launcher: str, package: str, extra: str) -> None:
    """Raise `BadInput`, with the installation command, if the package of a launcher's engine is missing."""
    if importlib.util.find_spec(package) is None:
        raise BadInput(f"hydra/launcher={launcher} is not installed", write=f"pip install 'normlab[{extra}]'")


def train_here(config: Config, folder: Path, command_folder: Path) -> str:
    """Train a job in a separate process; an engine calls this function on the machine that it has chosen.

    `folder` is absolute, and `command_folder` is the command's current folder.  Returns why the job failed, or "".
    """
    os.chdir(command_folder)
    start_fork_server(config.data)
    # The fork server may have started for an earlier job, to which the engine gave another GPU.
    environment = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES",) if name in os.environ}
    (outcome,) = run_tasks(LocalEngine([environment]), [Task("", config, folder)], lambda _: True, Display())
    return outcome.error
