"""How long a job takes, judged by those that have finished here."""

import contextlib
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from src.data.sizes import train_images
from src.runs.folder import FinishedJob, JobFolder
from src.runs.integrity import numbers_fault
from src.storage.stored import NoAccess

NEWEST = 100  # finished jobs that an estimate looks at


class Kind(NamedTuple):
    """The settings that decide a job's speed: norm, network and threads."""

    norm: str
    model: str
    threads: int


def kind(config: Mapping[str, Any]) -> Kind:
    """Return the kind of a job from its configuration as nested mappings."""
    model = {name: value for name, value in config["model"].items() if value is not None}
    return Kind(config["norm"]["name"], repr(sorted(model.items())), config["threads"])


@dataclass(frozen=True)
class Seen:
    """What a finished job took: seconds an image and epoch of training, and seconds for everything besides."""

    kind: Kind
    rate: float
    total: float
    rest: float | None  # not known where the job was interrupted: its clock, the total's, runs from the last start


@dataclass(frozen=True)
class Estimate:
    """Seconds that a job will take, and whether the same network with the same norm and threads was seen to."""

    seconds: float
    alike: bool


class Pace:
    """Estimates by the most similar jobs that have been seen: the same network, else the same norm, else any."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        self._seen = seen
        self._known: dict[Kind, tuple[float, float, bool]] = {}

    def estimate(self, kind: Kind, passes: int) -> Estimate | None:
        """What a job takes that trains on `passes` images, counted once an epoch; None where nothing was seen."""
        if not self._seen:
            return None
        if kind not in self._known:
            self._known[kind] = self._measured(kind)
        rate, rest, alike = self._known[kind]
        return Estimate(rate * passes + rest, alike)

    def _measured(self, kind: Kind) -> tuple[float, float, bool]:
        same_norm = [seen for seen in self._seen if seen.kind.norm == kind.norm]
        alike = [seen for seen in same_norm if seen.kind == kind]
        chosen = alike or same_norm or self._seen
        rests = [seen.rest for seen in chosen if seen.rest is not None]
        return statistics.median(seen.rate for seen in chosen), statistics.median(rests or [0.0]), bool(alike)


def seen_in(jobs: Path, names: Iterable[str]) -> list[Seen]:
    """The jobs that finished last among folders below `jobs`."""
    ended = []
    for name in names:
        job = JobFolder(jobs / name)
        with contextlib.suppress(OSError):  # not finished, or set aside at this moment
            ended.append((job.result_path.stat().st_mtime, job.path))
    read = [_read(JobFolder(path)) for _, path in sorted(ended, reverse=True)[:NEWEST]]
    return [seen for seen in read if seen is not None]


def typical_seconds(jobs: Path) -> float:
    """The median time that the jobs finished last below `jobs` took, in seconds; 0 where there is none."""
    seen = seen_in(jobs, [path.name for path in jobs.glob("*")])
    return statistics.median([one.total for one in seen] or [0.0])


def _read(job: JobFolder) -> Seen | None:
    """What a finished job took; None where its files are harmed: an estimate is no reason to fail."""
    done = FinishedJob(job)
    try:
        if numbers_fault(done, None):
            return None
    except (OSError, NoAccess):
        return None
    config, seconds = done.start["config"], done.result["seconds"]
    images = train_images(done.start["source"]["train"], config["data"]["validation"], config["data"]["limit"])
    if images < 1:
        return None
    resumed = any(record["kind"] == "resume" for record in done.records)
    return Seen(
        kind=kind(config),
        rate=sum(record["metrics"]["time/train_seconds"] for record in done.epochs) / (len(done.epochs) * images),
        total=max(seconds["total"], seconds["train"]),
        rest=None if resumed else seconds["total"] - seconds["train"],
    )
