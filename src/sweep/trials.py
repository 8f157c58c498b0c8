"""The jobs that another sweeper requests, such as Optuna's: one sweep that grows with each batch."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from src.bad_input import BadInput
from src.config import Config, check
from src.console import say
from src.options import Tracking
from src.runs.folder import SUPERSEDED, JobFolder, set_aside
from src.runs.integrity import job_fault
from src.runs.sweep import Sweep, read_sweep
from src.stopping import Terminated
from src.storage.space import check_space
from src.sweep.command_line import study_id, typed
from src.sweep.grid import Grid, GridJob, check_surroundings
from src.workers.queue import Task


def task_in(folder: Path, config: Config) -> Task:
    """The task to train a job in a folder."""
    return Task(JobFolder(folder).display_name, config, folder)


class Trials:
    """Names, checks and tracks the jobs of a sweeper that knows only their values."""

    def __init__(self, grid: Grid, multirun: Path) -> None:
        self._grid, self._multirun = grid, multirun
        self._jobs: dict[str, GridJob] = {}  # of all batches
        self._started = time.time_ns() // 1_000_000

    @contextlib.contextmanager
    def tracked(self, combinations: Sequence[Mapping[str, str]]) -> Iterator[list[Task]]:
        """The tasks of a batch's combinations; MLflow gets their progress while the context is open."""
        batch = [self._job(combination) for combination in combinations]
        config, is_first = batch[0].config, not self._jobs
        if is_first:
            check_surroundings(config)
        self._jobs |= {job.key: job for job in batch}
        sweep = self._sweep()
        folders = {job.key: job.at(self._multirun).path for job in sweep.jobs}
        for key in {job.key for job in batch}:
            if fault := job_fault(JobFolder(folders[key]), key):
                set_aside(JobFolder(folders[key]), self._multirun)
                say(f"damaged: {fault}\n  its folder is now in {self._multirun / SUPERSEDED}, and the job is retrained")
        tasks = [task_in(folders[job.key], job.config) for job in batch]
        check_space(self._multirun, sum(not JobFolder(task.folder).finished for task in tasks))
        sweep.write(self._multirun)
        if not isinstance(config.tracking, Tracking):
            yield tasks
            return
        from src.tracking.session import Tracker  # imports mlflow

        messages: list[str] = []
        tracker = Tracker(config.tracking, sweep, self._multirun, messages.append)
        try:
            tracker.open()
        except BadInput as refusal:
            if is_first:
                raise
            say(str(refusal))  # the store worked before: the study continues, and its end delivers again
            yield tasks
            return
        stopped = False
        try:
            yield tasks
        except (KeyboardInterrupt, Terminated):
            stopped = True
            raise
        finally:
            if not tracker.close(stopped=stopped):  # otherwise the study's end prints the links, once
                for line in messages:
                    say(line)

    def _job(self, combination: Mapping[str, str]) -> GridJob:
        config = self._grid.compose(combination)
        check(config)
        if config.plan or config.seeds is not None or config.sweep.cells or config.resume != "auto":
            keys = "plan, seeds, sweep.cells and resume=restart"
            raise BadInput(f"{keys} belong to a grid, which this sweeper does not make", write="hydra/sweeper=grid")
        (job,) = self._grid.jobs([combination], [config])
        return job

    def _sweep(self) -> Sweep:
        """The sweep of all trials, including those of an earlier call of the same command."""
        varies, planned = self._grid.planned(list(self._jobs.values()), self._multirun)
        sweep = Sweep(study_id(), typed(), self._started, varies, planned)
        manifest = sweep.folder(self._multirun) / "manifest.json"
        if manifest.exists():
            before = read_sweep(manifest)
            kept = [job for job in before.jobs if job.key not in self._jobs]
            sweep = replace(sweep, varies=list(dict.fromkeys([*before.varies, *varies])), jobs=[*kept, *planned])
        return sweep
