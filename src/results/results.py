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
from src.runs.identity import varying
from src.runs.integrity import files_fault, numbers_fault
from src.runs.sweep import PlannedJob, Sweep
from src.storage.lock import is_locked
from src.storage.stored import NoAccess
from src.wording import counted


@dataclass(frozen=True)
class Unfinished:
    """A job of a sweep that cannot be compared, or one of its files that cannot be used, with the reason."""

    label: str
    reason: str
    state: str = "not finished"  # or `damaged`, or `not readable`


@dataclass(frozen=True)
class Results:
    """The runs that are compared together.  `load_runs` documents the columns of both frames."""

    runs: pd.DataFrame  # one row per run: cells in the order of the sweeps, seeds ascending
    epochs: pd.DataFrame  # one row per epoch of a run, in the order of the runs
    varies: tuple[str, ...]  # dotted keys that differ between cells: the norm first, never the seed
    sources: Mapping[str, Mapping[str, Any]]  # by digest: a dataset's classes, channels, size, train, test and place
    jobs: Mapping[str, FinishedJob]  # by the run's name, for the other files of its folder
    unfinished: tuple[Unfinished, ...]
    incomplete: tuple[Unfinished, ...] = ()  # compared, but a file besides the predictions is unusable


def load_results(sweeps: Sequence[Sweep], multirun: Path) -> Results:
    """Read the jobs of the sweeps; a job that belongs to several sweeps counts once."""
    planned = {job.key: job for sweep in sweeps for job in sweep.jobs}
    finished: list[FinishedJob] = []
    unfinished: list[Unfinished] = []
    incomplete: list[Unfinished] = []
    for plan in progress_bar(list(planned.values()), "reading the runs"):
        job = _load(plan.at(multirun), plan)
        if isinstance(job, Unfinished):
            unfinished.append(job)
        else:
            finished.append(job)
            incomplete += _incomplete(job, plan)
    varies = _varies(sweeps, finished)
    jobs = name_runs(finished, varies)
    sources = {job.start["source"]["digest"]: job.start["source"] for job in finished}
    return Results(run_frame(jobs), epoch_frame(jobs), varies, sources, jobs, tuple(unfinished), tuple(incomplete))


def _varies(sweeps: Sequence[Sweep], finished: Iterable[FinishedJob]) -> tuple[str, ...]:
    """The keys that the sweeps vary, whether or not every value has finished, and those that differ between sweeps."""
    swept = {path for sweep in sweeps for path in sweep.varies if path in KEYS}  # an older schema had other keys
    varies = swept.union(varying(job.leaves for job in finished)) - {"seed"}
    return tuple(sorted(varies, key=lambda path: (path != "norm.name", list(KEYS).index(path))))


def _load(folder: JobFolder, plan: PlannedJob) -> FinishedJob | Unfinished:
    """The job if its numbers can be compared, else the reason why they cannot."""
    job = FinishedJob(folder)
    try:
        if not folder.finished:
            return Unfinished(plan.label, _why_unfinished(folder))
        fault = numbers_fault(job, plan.key)
    except NoAccess as refusal:
        return Unfinished(plan.label, refusal.reason, "not readable")
    except OSError as error:  # a disk that fails
        return Unfinished(plan.label, f"{error.filename}: {error.strerror}", "not readable")
    return Unfinished(plan.label, fault, "damaged") if fault else job


def _incomplete(job: FinishedJob, plan: PlannedJob) -> list[Unfinished]:
    try:
        fault, state = files_fault(job), "damaged"
    except NoAccess as refusal:
        fault, state = refusal.reason, "not readable"
    return [Unfinished(plan.label, f"{fault}; its numbers are compared", state)] if fault else []


def _why_unfinished(folder: JobFolder) -> str:
    records = folder.records()
    epochs = sum(record["kind"] == "epoch" for record in records)
    journalled = f"{counted(epochs, 'epoch')} in its journal"
    if is_locked(folder.path):
        return f"still running; {journalled}"
    if not records:
        return f"ended before its first line; see {folder.log}" if folder.never_started else "not started"
    last = records[-1]
    if last["kind"] == "stop":
        error = last["error"].encode(errors="replace").decode()  # it may name a file that is no UTF-8
        return f"{last['status']}: {error}; see {folder.log}"
    return f"no result; {journalled}"
