"""The jobs that Optuna or another sweeper requests, as one sweep that grows with each batch."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from src.bad_input import BadInput
from src.config import check_config
from src.console import say
from src.options import Tracking
from src.runs.folder import SUPERSEDED, JobFolder, set_aside_folder
from src.runs.integrity import job_fault
from src.runs.sweep import Sweep, read_sweep
from src.stopping import Terminated
from src.storage.space import check_space
from src.sweep.command_line import command_to_repeat, study_id
from src.sweep.grid import Grid, GridJob, check_device_and_store
from src.workers.queue import Task


class Trials:
    """Names, checks and tracks the jobs of another sweeper, such as Optuna's, which knows only their values."""

    def __init__(self, grid: Grid, multirun: Path) -> None:
        self._grid, self._multirun = grid, multirun
        self._jobs: dict[str, GridJob] = {}  # by key, from all batches
        self._started = time.time_ns() // 1_000_000

    @contextlib.contextmanager
    def track_batch(self, combinations: Sequence[Mapping[str, str]]) -> Iterator[list[Task]]:
        """Yield the tasks of a batch of combinations; MLflow receives their progress while the context is open."""
        batch = [self._check_and_make_job(combination) for combination in combinations]
        config, is_first_batch = batch[0].config, not self._jobs
        if is_first_batch:
            check_device_and_store(config)
        self._jobs |= {job.key: job for job in batch}
        sweep = self._sweep_of_all_trials()
        folders = {job.key: job.folder_in(self._multirun).path for job in sweep.jobs}
        for key in {job.key for job in batch}:
            if fault := job_fault(JobFolder(folders[key]), key):
                set_aside_folder(JobFolder(folders[key]), self._multirun)
                say(f"damaged: {fault}\n  its folder is now in {self._multirun / SUPERSEDED}, and the job is retrained")
        tasks = [Task(JobFolder(folders[job.key]).display_name, job.config, folders[job.key]) for job in batch]
        left = [job for job, task in zip(batch, tasks, strict=True) if not JobFolder(task.folder).finished]
        check_space(self._multirun, [job.disk_bytes() for job in left])
        sweep.write(self._multirun)
        if not isinstance(config.tracking, Tracking):
            yield tasks
            return
        from src.tracking.session import Tracker  # imports mlflow, which is slow

        messages: list[str] = []
        tracker = Tracker(config.tracking, sweep, self._multirun, messages.append)
        try:
            tracker.open()
        except BadInput as refusal:
            if is_first_batch:
                raise
            say(str(refusal))  # the store worked before, so the search continues and delivers at its end
            yield tasks
            return
        was_stopped = False
        try:
            yield tasks
        except (KeyboardInterrupt, Terminated):
            was_stopped = True
            raise
        finally:
            if not tracker.close(stopped=was_stopped):  # after a successful close, `StudyEnd` prints the links
                for line in messages:
                    say(line)

    def _check_and_make_job(self, combination: Mapping[str, str]) -> GridJob:
        config = self._grid.compose(combination)
        check_config(config)
        if config.plan or config.seeds is not None or config.sweep.cells or config.resume != "auto":
            keys = "plan, seeds, sweep.cells and resume=restart"
            raise BadInput(f"{keys} work only with the grid sweeper", write="hydra/sweeper=grid")
        (job,) = self._grid.make_jobs([combination], [config])
        return job

    def _sweep_of_all_trials(self) -> Sweep:
        """Return one sweep with the trials of this command and of earlier runs of the same command."""
        varying_keys, planned_jobs = self._grid.plan_jobs(list(self._jobs.values()), self._multirun)
        sweep = Sweep(study_id(), command_to_repeat(), self._started, varying_keys, planned_jobs)
        if (manifest := sweep.folder(self._multirun) / "manifest.json").exists():
            earlier_sweep = read_sweep(manifest)
            planned_jobs = [*(job for job in earlier_sweep.jobs if job.key not in self._jobs), *planned_jobs]
            varying_keys = list(dict.fromkeys([*earlier_sweep.varies, *varying_keys]))
            sweep = replace(sweep, varies=varying_keys, jobs=planned_jobs)
        return sweep
