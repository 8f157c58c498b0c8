"""The jobs that another sweeper than ours asks for, such as Optuna's: one sweep, which grows by its batches."""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from src.bad_input import BadInput
from src.config import Config, Tracking, check
from src.console import SteadyConsole
from src.runs import identity
from src.runs.folder import JobFolder, Sweep, read_sweep
from src.runs.naming import KnownFolders, plan_job
from src.runs.space import check_space
from src.stopping import Terminated
from src.sweep.command_line import typed
from src.sweep.grid import Grid, GridJob, check_surroundings
from src.workers.processes import Task


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
        folders = {job.key: self._multirun / "jobs" / job.folder for job in sweep.jobs}
        tasks = [task_in(folders[job.key], job.config) for job in batch]
        check_space(self._multirun, sum(not JobFolder(task.folder).finished for task in tasks))
        sweep.write(self._multirun)
        if config.tracking.name == "none":
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
            _say(str(refusal))  # it was there before: the study goes on, and its end tries again
            yield tasks
            return
        status = 1
        try:
            yield tasks
            status = int(not all(JobFolder(task.folder).finished for task in tasks))
        except KeyboardInterrupt:
            status = 130
            raise
        except Terminated:
            status = 143
            raise
        finally:
            delivered = tracker.close(status)
            for line in () if delivered else said:  # where to look is told once, at the study's end
                _say(line)

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
        varies = identity.varying(job.leaves for job in self._jobs.values())
        known = KnownFolders(self._multirun)
        planned = [plan_job(j.key, j.leaves, varies, self._grid.unusual(j), known) for j in self._jobs.values()]
        sweep = Sweep(identity.sweep_id([command]), command, self._started, varies, planned)
        manifest = sweep.folder(self._multirun) / "manifest.json"
        if manifest.exists():
            before = read_sweep(manifest)
            kept = [job for job in before.jobs if job.key not in self._jobs]
            sweep = replace(sweep, varies=list(dict.fromkeys([*before.varies, *varies])), jobs=[*kept, *planned])
        return sweep


class StudyEnd(Callback):
    """Compares a study's trials when its sweeper has ended; a grid does so itself."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Hydra's call, unless an error has ended the study."""
        multirun = Path(config.hydra.sweep.dir).parent
        manifest = multirun / "sweeps" / identity.sweep_id([typed()])[:8] / "manifest.json"
        if not manifest.exists():
            return
        from src.comparison.comparison import compare

        sweep, status = read_sweep(manifest), 1
        try:
            comparison = compare([sweep], multirun, sweep.folder(multirun), SteadyConsole())
            status = int(bool(comparison.records.unfinished))
        except Exception as error:  # the trials are finished all the same
            _say(f"the comparison could not be made: {error}")
        delivered = self._delivered(config.tracking, sweep, multirun, status)
        status = status or (0 if delivered else 3)
        if status:
            sys.exit(status)  # Hydra makes a warning of any other exception

    def _delivered(self, tracking: DictConfig, sweep: Sweep, multirun: Path, status: int) -> bool:
        if tracking.name == "none":
            return True
        from src.tracking.session import Tracker  # imports mlflow

        settings = Tracking(tracking.name, tracking.uri, tracking.experiment, tracking.system_metrics)
        tracker = Tracker(settings, sweep, multirun, _say)
        try:
            tracker.open()
        except BadInput as refusal:
            _say(str(refusal))
            return False
        return tracker.close(status)


def _say(line: str) -> None:
    SteadyConsole(stderr=True, soft_wrap=True).print(line, highlight=False, markup=False)
