"""The jobs that another sweeper than ours asks for, such as Optuna's: one sweep, which grows by its batches."""

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
    """What is to be trained in a folder."""
    return Task(JobFolder(folder).display_name, config, folder)


class Trials:
    """Names, checks and tracks jobs whose sweeper knows nothing but their values."""

    def __init__(self, grid: Grid, multirun: Path) -> None:
        self._grid, self._multirun = grid, multirun
        self._jobs: dict[str, GridJob] = {}
        self._started = time.time_ns() // 1_000_000

    @contextlib.contextmanager
    def tracked(self, points: Sequence[Mapping[str, str]]) -> Iterator[list[Task]]:
        """The points' tasks, delivered to MLflow while they are trained.

        Raises:
            BadInput: for a point that could not be trained as it is written.
        """
        batch = [self._job(point) for point in points]
        config, first = batch[0].config, not self._jobs
        if first:
            check_surroundings(config)
        self._jobs |= {job.key: job for job in batch}
        sweep = self._sweep()
        folders = {job.key: job.at(self._multirun).path for job in sweep.jobs}
        for key in {job.key for job in batch}:
            if what := job_fault(JobFolder(folders[key]), key):
                say(f"harmed: {what}")
                set_aside(JobFolder(folders[key]), self._multirun)
                say(f"  its folder is in {self._multirun / SUPERSEDED} now, and it is trained anew")
        tasks = [task_in(folders[job.key], job.config) for job in batch]
        check_space(self._multirun, sum(not JobFolder(task.folder).finished for task in tasks))
        sweep.write(self._multirun)
        if not isinstance(config.tracking, Tracking):
            yield tasks
            return
        from src.tracking.session import Tracker  # imports mlflow

        said: list[str] = []
        tracker = Tracker(config.tracking, sweep, self._multirun, said.append)
        try:
            tracker.open()
        except BadInput as refusal:
            if first:
                raise
            say(str(refusal))  # it was there before: the study goes on, and its end tries again
            yield tasks
            return
        stopped = False
        try:
            yield tasks
        except (KeyboardInterrupt, Terminated):
            stopped = True
            raise
        finally:
            delivered = tracker.close(stopped=stopped)
            for line in () if delivered else said:  # where to look is told once, at the study's end
                say(line)

    def _job(self, point: Mapping[str, str]) -> GridJob:
        config = self._grid.compose(point)
        check(config)
        if config.plan or config.seeds is not None or config.sweep.cells or config.resume != "auto":
            grids = "plan, seeds, sweep.cells and resume=restart"
            raise BadInput(f"{grids} belong to a grid, which this sweeper does not make", write="hydra/sweeper=grid")
        (job,) = self._grid.jobs([point], [config])
        return job

    def _sweep(self) -> Sweep:
        """All trials so far, also those of the same command before: a study may be gone on with."""
        command = typed()  # the same one again goes on with the same sweep
        varies, planned = self._grid.planned(list(self._jobs.values()), self._multirun)
        sweep = Sweep(study_id(), command, self._started, varies, planned)
        manifest = sweep.folder(self._multirun) / "manifest.json"
        if manifest.exists():
            before = read_sweep(manifest)
            kept = [job for job in before.jobs if job.key not in self._jobs]
            sweep = replace(sweep, varies=list(dict.fromkeys([*before.varies, *varies])), jobs=[*kept, *planned])
        return sweep
