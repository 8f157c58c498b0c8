"""Engines that run jobs on other machines.

An engine only chooses the machine.  There, a separate process trains each job, as `processes.py` does here, or a
process per GPU trains several, as `gpu.py` does.  The command follows the jobs through their folders, so all machines
must see the folders under the same paths.
"""

import importlib.util
import math
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
from src.workers.gpu import GpuEngine
from src.workers.machine import shares_gpus, worker_environments
from src.workers.processes import STOP_TIMEOUT, LocalEngine, start_fork_server
from src.workers.queue import Display, Engine, Task, run_tasks

POLL_INTERVAL = 0.25  # seconds between two checks of the jobs


@dataclass(eq=False)
class Request:
    """A call of `train_here` that was passed to an engine; on a GPU it trains several jobs."""

    folders: list[Path]
    handle: Any = None  # the engine's own object
    errors: list[str] | str | None = None  # see `RemoteEngine.training_errors`


@dataclass(eq=False)
class RemoteJob:
    """A job that was submitted to the engine; it waits until it becomes part of a request."""

    task: Task
    shown_epochs: int = 0  # the number of epochs shown so far
    request: Request | None = None
    gpu_name = ""  # see `Engine`; the request's engine chooses the GPU later


class RemoteEngine(ABC):
    """Follows jobs on other machines through their folders; a subclass starts and cancels the jobs."""

    slots: int
    places = 1  # how many jobs a request may train at once, which is more than 1 only on GPUs

    @abstractmethod
    def start_training(self, jobs: Sequence[tuple[Config, Path]]) -> Any:
        """Ask the engine to call `train_here` for these jobs; returns the engine's own object for the request."""

    @abstractmethod
    def training_errors(self, handle: Any) -> list[str] | str | None:
        """Return None while `train_here` runs, then its result, or the cause if its process or machine died."""

    @abstractmethod
    def cancel(self, handle: Any) -> None:
        """Ask the engine to stop a request."""

    def submit(self, task: Task, *, live: bool) -> RemoteJob:
        """Accept a job; `wait` passes it to the engine."""
        return RemoteJob(task, sum(record["kind"] == "epoch" for record in JobFolder(task.folder).records()))

    def wait(self, jobs: Sequence[RemoteJob]) -> None:
        """Pass waiting jobs to the engine and sleep, because a job on another machine cannot wake this process."""
        self._request_training([job for job in jobs if not job.request], busy=len(_requests(jobs)))
        time.sleep(POLL_INTERVAL)

    def _request_training(self, jobs: Sequence[RemoteJob], busy: int) -> None:
        """Divide the jobs evenly among the requests that the engine can run besides `busy` others."""
        free = max(self.slots // self.places, 1) - busy
        size = min(math.ceil(len(jobs) / free), self.places) if free > 0 else 0
        for start in range(0, min(len(jobs), free * size), size or 1):
            group = jobs[start : start + size]
            request = Request([job.task.folder for job in group])
            try:
                request.handle = self.start_training([(job.task.config, job.task.folder) for job in group])
            except Exception as error:  # for example, sbatch refuses the job or the cluster is gone
                reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                request.errors = f"the cluster refused the job: {reason}"
            for job in group:
                job.request = request

    def poll(self, job: RemoteJob) -> tuple[list[Update], str | None]:
        """Return an update per new epoch in the job's journal, and the cause once it has ended; see `Engine.poll`."""
        cause = self._cause(job)  # asked first: an ended job adds no record
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

    def _cause(self, job: RemoteJob) -> str | None:
        """Return the cause of a job's end, or None until then; see `Engine.poll`."""
        request = job.request
        if request is None:
            return None
        if request.errors is None:
            request.errors = self.training_errors(request.handle)
        if isinstance(request.errors, list):
            return request.errors[request.folders.index(job.task.folder)]
        if request.errors is None and len(request.folders) > 1 and JobFolder(job.task.folder).finished:
            return ""  # before the other jobs of its request
        return request.errors

    def stop(self, jobs: Sequence[RemoteJob], signal_number: int) -> None:
        """Cancel all jobs and wait until their processes have released the folders."""
        for request in _requests(jobs):
            if request.errors is None:
                self.cancel(request.handle)
        deadline = time.monotonic() + STOP_TIMEOUT + 1
        while time.monotonic() < deadline and any(is_locked(job.task.folder) for job in jobs):
            time.sleep(POLL_INTERVAL)


def check_installed(launcher: str, package: str, extra: str) -> None:
    """Raise `BadInput`, with the installation command, if the package of a launcher's engine is missing."""
    if importlib.util.find_spec(package) is None:
        raise BadInput(f"hydra/launcher={launcher} is not installed", write=f"pip install 'normlab[{extra}]'")


def _requests(jobs: Sequence[RemoteJob]) -> list[Request]:
    """Return the requests of some jobs, each once."""
    return list(dict.fromkeys(job.request for job in jobs if job.request))


def train_here(jobs: Sequence[tuple[Config, Path]], command_folder: Path, jobs_per_gpu: int) -> list[str]:
    """Train jobs in separate processes; an engine calls this function on the machine that it has chosen.

    Several jobs share this machine's GPUs, up to `jobs_per_gpu` at once on each.  The folders are absolute, and
    `command_folder` is the command's current folder.  Returns why each job failed; an empty string if it finished.
    """
    os.chdir(command_folder)
    tasks = [Task(folder.name, config, folder) for config, folder in jobs]
    config = tasks[0].config
    start_fork_server(config.data)
    if len(tasks) > 1 and shares_gpus(config):
        engine: Engine = GpuEngine(worker_environments(None, config.threads, config.device), jobs_per_gpu)
    else:
        # The fork server may have started for an earlier job, to which the engine gave another GPU.
        name = "CUDA_VISIBLE_DEVICES"
        engine = LocalEngine([{name: os.environ[name]} if name in os.environ else {}])
    errors = {outcome.task.folder: outcome.error for outcome in run_tasks(engine, tasks, lambda _: True, Display())}
    return [errors[task.folder] for task in tasks]
