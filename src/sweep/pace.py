"""Estimates how long a job takes from finished jobs in the same `multirun` folder."""

import contextlib
import functools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from src.data.sizes import training_image_count
from src.runs.folder import FinishedJob, JobFolder
from src.storage.stored import NoAccess

MAX_TIMED_JOBS = 100  # an estimate uses only this many of the newest finished jobs
JobKind = tuple[str, str, int, str]  # norm, network with its keys, threads, augmentation; equally fast jobs


def job_kind(settings: Mapping[str, Any]) -> JobKind:
    """Return the kind of a job with these settings, given by dotted key."""
    model = sorted((path, value) for path, value in settings.items() if path.startswith("model.") and value is not None)
    return settings["norm.name"], repr(model), settings["threads"], settings["augmentation.name"]


def pass_count(settings: Mapping[str, Any]) -> int:
    """Return how many passes a step of a job with these settings needs."""
    return 2 if settings["reg.sam"] else 1


@dataclass(frozen=True)
class Timing:
    """How long a finished job took."""

    kind: JobKind
    rate: float  # seconds of training per image, epoch and pass
    total: float  # seconds for the whole job
    overhead: float | None  # seconds besides training; None for a resumed job, whose total is too short


class Pace(NamedTuple):
    """The expected speed of a job."""

    rate: float  # seconds of training per image, epoch and pass
    overhead: float  # seconds besides training
    similar: bool  # whether the estimate comes from jobs of the same kind


def pace_estimator(timings: Sequence[Timing]) -> Callable[[JobKind], Pace | None]:
    """Return a function from a job's kind to the median pace of the most similar jobs, or to None without jobs."""

    @functools.cache
    def pace(kind: JobKind) -> Pace | None:
        same_norm = [timing for timing in timings if timing.kind[0] == kind[0]]
        similar = [timing for timing in same_norm if timing.kind == kind]
        timings_used = similar or same_norm or timings
        if not timings_used:
            return None
        overheads = [timing.overhead for timing in timings_used if timing.overhead is not None]
        rate = statistics.median(timing.rate for timing in timings_used)
        return Pace(rate, statistics.median(overheads or [0.0]), bool(similar))

    return pace


def read_timings(jobs_folder: Path, names: Iterable[str]) -> list[Timing]:
    """Return the timings of the newest finished jobs among the folders `names` in `jobs_folder`."""
    finished_jobs = []
    for name in names:
        job = JobFolder(jobs_folder / name)
        with contextlib.suppress(OSError):  # the job is not finished, or its folder was just moved
            finished_jobs.append((job.result_path.stat().st_mtime, job.path))
    newest = [FinishedJob(JobFolder(path)) for _, path in sorted(finished_jobs, reverse=True)[:MAX_TIMED_JOBS]]
    return [timing for job in newest if (timing := _read_timing(job))]


def typical_seconds(jobs_folder: Path) -> float:
    """Return the median time of the newest finished jobs in `jobs_folder`, in seconds; 0 without finished jobs."""
    timings = read_timings(jobs_folder, [path.name for path in jobs_folder.glob("*")])
    return statistics.median([timing.total for timing in timings] or [0.0])


def _read_timing(job: FinishedJob) -> Timing | None:
    """Return the timing of a finished job, or None if its files are damaged: an estimate does not need every job."""
    from src.runs.integrity import numbers_fault  # imports numpy, which a refused command must not wait for

    try:
        if numbers_fault(job, None):
            return None
    except (OSError, NoAccess):
        return None
    settings, source, seconds = job.settings, job.start["source"], job.result["seconds"]
    own_validation = source.get("validation", 0)
    images = training_image_count(source["train"], own_validation, settings["data.validation"], settings["data.limit"])
    if images < 1:
        return None
    passes = len(job.epochs) * images * pass_count(settings)
    rate = sum(record["metrics"]["time/train_seconds"] for record in job.epochs) / passes
    was_resumed = any(record["kind"] == "resume" for record in job.records)
    overhead = None if was_resumed else seconds["total"] - seconds["train"]
    return Timing(job_kind(settings), rate, max(seconds["total"], seconds["train"]), overhead)
