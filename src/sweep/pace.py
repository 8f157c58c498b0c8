"""Estimates how long a job takes from the jobs that have finished in the same folder."""

import contextlib
import functools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from src.data.sizes import training_image_count
from src.runs.folder import FinishedJob, JobFolder
from src.runs.integrity import numbers_fault
from src.storage.stored import NoAccess

NEWEST = 100  # finished jobs that an estimate uses


Kind = tuple[str, str, int]  # norm, network and threads: they decide a job's speed


def kind(config: Mapping[str, Any]) -> Kind:
    """The kind of a job, from its configuration as nested mappings."""
    model = {name: value for name, value in config["model"].items() if value is not None}
    return config["norm"]["name"], repr(sorted(model.items())), config["threads"]


@dataclass(frozen=True)
class Timing:
    """The time that a finished job took, in seconds."""

    kind: Kind
    rate: float  # of training, per image and epoch
    total: float
    rest: float | None  # besides training; None for a resumed job, because its total counts from the last start


class Pace(NamedTuple):
    """Seconds for each image and epoch, seconds besides training, and whether they come from similar jobs."""

    rate: float
    rest: float
    similar: bool  # whether the jobs are of the same kind


def pace_by(timings: Sequence[Timing]) -> Callable[[Kind], Pace | None]:
    """A function from a job's kind to the median pace of the most similar jobs; None without jobs."""

    @functools.cache
    def pace(kind: Kind) -> Pace | None:
        same_norm = [timing for timing in timings if timing.kind[0] == kind[0]]
        similar = [timing for timing in same_norm if timing.kind == kind]
        chosen = similar or same_norm or timings
        if not chosen:
            return None
        rests = [timing.rest for timing in chosen if timing.rest is not None]
        rate = statistics.median(timing.rate for timing in chosen)
        return Pace(rate, statistics.median(rests or [0.0]), bool(similar))

    return pace


def timings_in(jobs: Path, names: Iterable[str]) -> list[Timing]:
    """The timings of the newest finished jobs among the named folders below `jobs`."""
    ended = []
    for name in names:
        job = JobFolder(jobs / name)
        with contextlib.suppress(OSError):  # not finished, or set aside right now
            ended.append((job.result_path.stat().st_mtime, job.path))
    newest = [FinishedJob(JobFolder(path)) for _, path in sorted(ended, reverse=True)[:NEWEST]]
    return [timing for job in newest if (timing := _timing(job))]


def typical_seconds(jobs: Path) -> float:
    """The median time of the newest finished jobs below `jobs`, in seconds; 0 without any."""
    timings = timings_in(jobs, [path.name for path in jobs.glob("*")])
    return statistics.median([timing.total for timing in timings] or [0.0])


def _timing(job: FinishedJob) -> Timing | None:
    """A job's timing; None if its files are damaged, since an estimate can do without."""
    try:
        if numbers_fault(job, None):
            return None
    except (OSError, NoAccess):
        return None
    config, seconds = job.start["config"], job.result["seconds"]
    images = training_image_count(job.start["source"]["train"], config["data"]["validation"], config["data"]["limit"])
    if images < 1:
        return None
    rate = sum(record["metrics"]["time/train_seconds"] for record in job.epochs) / (len(job.epochs) * images)
    resumed = any(record["kind"] == "resume" for record in job.records)
    rest = None if resumed else seconds["total"] - seconds["train"]
    return Timing(kind(config), rate, max(seconds["total"], seconds["train"]), rest)
