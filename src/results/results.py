"""Reads the jobs of sweeps into the frames that a comparison works with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from src.config import KEYS
from src.console import progress_bar
from src.results.frames import epoch_frame, name_runs, run_frame
from src.runs.folder import FinishedJob, JobFolder
from src.runs.identity import find_varying_keys, job_settings
from src.runs.integrity import files_fault, numbers_fault
from src.runs.sweep import PlannedJob, Sweep
from src.storage.lock import is_locked
from src.storage.stored import NoAccess
from src.wording import counted


@dataclass(frozen=True)
class JobProblem:
    """A job that cannot be compared, or that is compared although one of its files is unusable, with the reason."""

    label: str
    reason: str
    state: str = "not finished"  # or `failed`, `damaged`, `not readable`

    @property
    def has_diverged(self) -> bool:
        """Whether the job failed because its loss became infinite or NaN."""
        return self.state == "failed" and self.reason.startswith("Diverged")


@dataclass(frozen=True)
class Results:
    """The runs that are compared together.  `load_runs` documents the columns of both frames."""

    runs: pd.DataFrame  # one row per run, cells in the order of the sweeps, seeds ascending
    epochs: pd.DataFrame  # one row per epoch of a run, in the order of the runs
    varies: tuple[str, ...]  # dotted keys that differ between cells, without the seed; the norm comes first
    sources: Mapping[str, Mapping[str, Any]]  # the stored description of each dataset, by its digest
    jobs: Mapping[str, FinishedJob]  # the job of each run, by the run's name
    unfinished: tuple[JobProblem, ...]
    incomplete: tuple[JobProblem, ...] = ()  # jobs that are compared although a file is unusable
    failed: tuple[Mapping[str, Any], ...] = ()  # for each job that failed: its configuration, and its `cell_key`


def load_results(sweeps: Sequence[Sweep], multirun: Path) -> Results:
    """Read all jobs of the sweeps.  A job that belongs to several sweeps counts once."""
    planned_jobs = {job.key: job for sweep in sweeps for job in sweep.jobs}
    finished_jobs: list[FinishedJob] = []
    unfinished: list[JobProblem] = []
    incomplete: list[JobProblem] = []
    failed: list[Mapping[str, Any]] = []
    for planned_job in progress_bar(list(planned_jobs.values()), "reading the runs"):
        job = _load_job(planned_job.folder_in(multirun), planned_job)
        if isinstance(job, JobProblem):
            unfinished.append(job)
            failed += _failed_settings(planned_job.folder_in(multirun))
        else:
            finished_jobs.append(job)
            incomplete += _file_problems(job, planned_job)
    varies = _varying_keys(sweeps, finished_jobs)
    jobs = name_runs(finished_jobs, varies)
    sources = {job.start["source"]["digest"]: job.start["source"] for job in finished_jobs}
    return Results(
        *(run_frame(jobs), epoch_frame(jobs), varies, sources, jobs),
        *(tuple(unfinished), tuple(incomplete), tuple(failed)),
    )


def _varying_keys(sweeps: Sequence[Sweep], finished_jobs: Iterable[FinishedJob]) -> tuple[str, ...]:
    """The keys that a sweep varies, even if jobs are unfinished, and the keys that differ between sweeps."""
    swept_keys = {path for sweep in sweeps for path in sweep.varies if path in KEYS}  # some old keys no longer exist
    varying_keys = swept_keys.union(find_varying_keys(job.settings for job in finished_jobs)) - {"seed"}
    return tuple(sorted(varying_keys, key=lambda path: (path != "norm.name", list(KEYS).index(path))))


def _load_job(folder: JobFolder, planned_job: PlannedJob) -> FinishedJob | JobProblem:
    """The finished job, or the reason why its results cannot be compared."""
    job = FinishedJob(folder)
    try:
        if not folder.finished:
            state = "failed" if folder.failed else "not finished"
            return JobProblem(planned_job.label, _unfinished_reason(folder), state)
        fault = numbers_fault(job, planned_job.key)
    except NoAccess as refusal:
        return JobProblem(planned_job.label, refusal.reason, "not readable")
    except OSError as error:  # for example, a failing disk
        return JobProblem(planned_job.label, f"{error.filename}: {error.strerror}", "not readable")
    return JobProblem(planned_job.label, fault, "damaged") if fault else job


def _failed_settings(folder: JobFolder) -> Sequence[Mapping[str, Any]]:
    """The configuration of a failed job, by dotted key, with its `cell_key`, which is empty if the job had no data yet.

    Empty for another job, or if its journal has no start.
    """
    try:
        records = folder.records() if folder.failed else []
    except (OSError, NoAccess):  # the job is listed as not readable
        return []
    cell_key = next((record["cell"] for record in records if record["kind"] == "ready"), "")
    starts = [record for record in records if record["kind"] == "start"]
    return [{**job_settings(record["config"]), "cell_key": cell_key} for record in starts[:1]]


def _file_problems(job: FinishedJob, planned_job: PlannedJob) -> list[JobProblem]:
    try:
        fault, state = files_fault(job), "damaged"
    except NoAccess as refusal:
        fault, state = refusal.reason, "not readable"
    return [JobProblem(planned_job.label, f"{fault}; the run is still compared", state)] if fault else []


def _unfinished_reason(folder: JobFolder) -> str:
    records = folder.records()
    epochs = sum(record["kind"] == "epoch" for record in records)
    progress = f"its journal has {counted(epochs, 'epoch')}"
    if is_locked(folder.path):
        return f"still running; {progress}"
    if not records:
        return f"ended before it wrote to its journal; see {folder.log}" if folder.never_started else "not started"
    last_record = records[-1]
    if last_record["kind"] == "stop":
        error = last_record["error"].encode(errors="replace").decode()  # a file name in the error may not be UTF-8
        status = "" if last_record["status"] == "FAILED" else f"{last_record['status']}: "
        return f"{status}{error}; see {folder.log}"
    return f"no result; {progress}"
