"""The jobs of one or several sweeps as they are compared: finished ones in cells, a cell's jobs differing by seed."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.config import KEYS
from src.runs.folder import FinishedJob, JobFolder, PlannedJob, Sweep, find_job
from src.runs.identity import code_digest, label, varying


@dataclass(frozen=True)
class Cell:
    """Finished jobs that differ by their seed alone, in the order of their seeds."""

    key: str
    label: str  # unique among the cells loaded together, such as `gn l1=1e-05`
    jobs: tuple[FinishedJob, ...]

    @property
    def leaves(self) -> dict[str, Any]:
        """The configuration's leaves that all jobs share, by dotted key."""
        return _without_seed(self.jobs[0].leaves)

    @property
    def source(self) -> Mapping[str, Any]:
        """What is known of the dataset: digest, place, train, test, channels, size, classes."""
        source: Mapping[str, Any] = self.jobs[0].start["source"]
        return source

    def name(self, job: FinishedJob) -> str:
        """The name of one of its jobs, such as `gn l1=1e-05 s0`."""
        return f"{self.label} s{job.leaves['seed']}"

    def values(self, metric: str) -> list[float]:
        """A metric of the results, such as `test/accuracy`, one value a job."""
        return [float(job.result["metrics"][metric]) for job in self.jobs]


@dataclass(frozen=True)
class Unfinished:
    """A job of a sweep that cannot be compared, and why."""

    label: str
    reason: str


@dataclass(frozen=True)
class Records:
    """Everything that is compared together."""

    varies: tuple[str, ...]  # dotted keys that tell the cells apart, the norm first, the seed left out
    cells: tuple[Cell, ...]  # in the order in which the sweeps name them
    unfinished: tuple[Unfinished, ...]

    @property
    def other_code(self) -> list[str]:
        """The names of the jobs that were trained by other code than stands here now."""
        present = code_digest()
        return [cell.name(job) for cell in self.cells for job in cell.jobs if job.start["code"] != present]


def load_records(sweeps: Iterable[Sweep], multirun: Path) -> Records:
    """Read the jobs of the sweeps; a job that stands in several counts once."""
    planned = {job.key: job for sweep in sweeps for job in sweep.jobs}
    finished: list[FinishedJob] = []
    unfinished: list[Unfinished] = []
    for plan in planned.values():
        job = _load(_folder(plan, multirun), plan)
        if isinstance(job, Unfinished):
            unfinished.append(job)
        else:
            finished.append(job)
    varies = tuple(telling(job.leaves for job in finished))
    return Records(varies, _cells(finished, varies), tuple(unfinished))


def telling(jobs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys that tell cells apart, the norm first.

    A key that only some options read differs whenever the option does (`norm.groups` is null under `bn`), which tells
    nothing; it is named where it differs among jobs of the same option.
    """
    jobs = list(jobs)
    return [path for path in varying(jobs) if path != "seed" and (not _read_by(path) or _differs_within(path, jobs))]


def _read_by(path: str) -> tuple[str, ...]:
    return KEYS[path].read_by if path in KEYS else ()


def _differs_within(path: str, jobs: Sequence[Mapping[str, Any]]) -> bool:
    option = path.partition(".")[0] + ".name"
    values: dict[Any, set[str]] = {}
    for job in jobs:
        values.setdefault(job.get(option), set()).add(json.dumps(job.get(path)))
    return any(len(found) > 1 for found in values.values())


def _folder(plan: PlannedJob, multirun: Path) -> JobFolder:
    folder = JobFolder(multirun / "jobs" / plan.folder)
    return folder if folder.path.exists() else find_job(multirun, plan.key) or folder


def _load(folder: JobFolder, plan: PlannedJob) -> FinishedJob | Unfinished:
    if not folder.finished:
        return Unfinished(plan.label, _why_unfinished(folder))
    job = FinishedJob(folder)
    try:
        complete = job.start["job"] == plan.key and bool(job.epochs) and "test/accuracy" in job.result["metrics"]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        return Unfinished(plan.label, f"cannot be read: {folder.path}: {type(error).__name__}: {error}")
    return job if complete else Unfinished(plan.label, f"its records are not those of this job: {folder.path}")


def _why_unfinished(folder: JobFolder) -> str:
    records = folder.records()
    if not records:
        return "not started"
    last = records[-1]
    if last["kind"] == "stop":
        return f"{last['status']}: {last['error']}"
    epochs = sum(record["kind"] == "epoch" for record in records)
    return f"no result; {epochs} epoch{'' if epochs == 1 else 's'} in its journal"


def _cells(jobs: Iterable[FinishedJob], varies: tuple[str, ...]) -> tuple[Cell, ...]:
    groups: dict[str, list[FinishedJob]] = {}
    for job in jobs:
        groups.setdefault(job.start["cell"], []).append(job)
    names = {key: label(_without_seed(group[0].leaves), varies) for key, group in groups.items()}
    often = Counter(names.values())
    return tuple(
        # The same leaves on other data, or two keys with the same last part: the cell's key tells them apart.
        Cell(
            key,
            names[key] if often[names[key]] == 1 else f"{names[key]} {key[:6]}",
            tuple(sorted(group, key=lambda job: int(job.leaves["seed"]))),
        )
        for key, group in groups.items()
    )


def _without_seed(leaves: Mapping[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in leaves.items() if path != "seed"}
