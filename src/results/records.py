"""The jobs of one or several sweeps as they are compared: finished ones in cells, a cell's jobs differing by seed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from src.config import KEYS
from src.console import progress_bar
from src.runs.folder import FinishedJob, JobFolder
from src.runs.identity import applies, code_digest, varying
from src.runs.integrity import files_fault, numbers_fault
from src.runs.naming import job_name
from src.runs.sweep import PlannedJob, Sweep
from src.storage.lock import is_owned
from src.storage.stored import NoAccess


@dataclass(frozen=True)
class Cell:
    """Finished jobs that differ by their seed alone, in the order of their seeds."""

    key: str
    label: str  # unique among the cells loaded together, such as `gn l1=1e-05`
    jobs: tuple[FinishedJob, ...]

    @cached_property
    def leaves(self) -> Mapping[str, Any]:
        """The configuration's leaves that all its jobs share, by dotted key."""
        return {path: value for path, value in self.jobs[0].leaves.items() if path != "seed"}

    @property
    def source(self) -> Mapping[str, Any]:
        """What is known of the dataset: digest, place, train, test, channels, size, classes."""
        source: Mapping[str, Any] = self.jobs[0].start["source"]
        return source

    @property
    def dataset(self) -> str:
        """The dataset's name and the first digits of its digest, such as `mnist 1a2b3c4d`."""
        return f"{self.leaves['data.name']} {self.source['digest'][:8]}"

    def name(self, job: FinishedJob) -> str:
        """The name of one of its jobs, such as `gn l1=1e-05 s0`."""
        return f"{self.label} s{job.leaves['seed']}"

    def values(self, metric: str) -> list[float]:
        """A metric of the results, such as `test/accuracy`, one value a job."""
        return [float(job.result["metrics"][metric]) for job in self.jobs]


def by_dataset(cells: Iterable[Cell]) -> list[tuple[Cell, ...]]:
    """The cells whose jobs took their training images out of the same ones, and were tested on the same."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.source["digest"], []).append(cell)
    return [tuple(group) for group in found.values()]


def averaged(cells: Sequence[Cell], others: Iterable[str], at: Sequence[str]) -> list[str]:
    """Which of the `others` a mean at each combination of `at` goes over (dotted keys).

    What has one value at each place belongs to it, such as the learning rate to its optimizer, or all of a search.
    """
    places = _by_place(cells, at)
    return [path for path in others if any(len({_read(cell, [path]) for cell in each}) > 1 for each in places)]


def balanced(cells: Sequence[Cell], others: Iterable[str], at: Sequence[str]) -> list[Cell]:
    """The cells whose `others` and data were trained at every combination of `at` that there is (dotted keys).

    Of these a mean over `others` may be taken: a setting whose run was lost makes no place look better or worse.
    """
    paths = averaged(cells, others, at)
    rest = {cell.key: (cell.source["digest"], *_read(cell, paths)) for cell in cells}
    settings = [{rest[cell.key] for cell in each} for each in _by_place(cells, at)]
    return [cell for cell in cells if all(rest[cell.key] in there for there in settings)]


def _by_place(cells: Iterable[Cell], at: Sequence[str]) -> list[list[Cell]]:
    places: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        places.setdefault(_read(cell, at), []).append(cell)
    return list(places.values())


def _read(cell: Cell, paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(repr(cell.leaves[path]) if applies(path, cell.leaves) else "" for path in paths)


@dataclass(frozen=True)
class Unfinished:
    """A job of a sweep that cannot be compared, or one of its files that cannot be used, and why."""

    label: str
    reason: str
    state: str = "not finished"  # or `harmed`, or `not readable`


@dataclass(frozen=True)
class Records:
    """Everything that is compared together."""

    varies: tuple[str, ...]  # dotted keys that tell the cells apart, the norm first, the seed left out
    cells: tuple[Cell, ...]  # in the order in which the sweeps name them
    unfinished: tuple[Unfinished, ...]
    incomplete: tuple[Unfinished, ...] = ()  # jobs that are compared and lack another file than predictions

    @property
    def other_code(self) -> list[str]:
        """The names of the jobs that were trained by other code than stands here now."""
        present = code_digest()
        return [cell.name(job) for cell in self.cells for job in cell.jobs if job.start["code"] != present]


def load_records(sweeps: Sequence[Sweep], multirun: Path) -> Records:
    """Read the jobs of the sweeps; a job that stands in several counts once."""
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
    return Records(varies, _cells(finished, varies), tuple(unfinished), tuple(incomplete))


def _varies(sweeps: Sequence[Sweep], finished: Iterable[FinishedJob]) -> tuple[str, ...]:
    """What the sweeps vary, whether or not every value has finished, and what differs between them."""
    asked = {path for sweep in sweeps for path in sweep.varies if path in KEYS}  # one of an old schema may be gone
    found = asked.union(varying(job.leaves for job in finished)) - {"seed"}
    return tuple(sorted(found, key=lambda path: (path != "norm.name", list(KEYS).index(path))))


def _load(folder: JobFolder, plan: PlannedJob) -> FinishedJob | Unfinished:
    job = FinishedJob(folder)
    try:
        if not folder.finished:
            return Unfinished(plan.label, _why_unfinished(folder))
        what = numbers_fault(job, plan.key)
    except NoAccess as refusal:
        return Unfinished(plan.label, refusal.what, "not readable")
    except OSError as error:  # a disk that fails
        return Unfinished(plan.label, f"{error.filename}: {error.strerror}", "not readable")
    return Unfinished(plan.label, what, "harmed") if what else job


def _incomplete(job: FinishedJob, plan: PlannedJob) -> list[Unfinished]:
    try:
        what, state = files_fault(job), "harmed"
    except NoAccess as refusal:
        what, state = refusal.what, "not readable"
    return [Unfinished(plan.label, f"{what}; its numbers are compared", state)] if what else []


def _why_unfinished(folder: JobFolder) -> str:
    records = folder.records()
    epochs = sum(record["kind"] == "epoch" for record in records)
    journalled = f"{epochs} epoch{'' if epochs == 1 else 's'} in its journal"
    if is_owned(folder.path):
        return f"still running; {journalled}"
    if not records:
        return f"ended before its first line; see {folder.log}" if folder.never_started else "not started"
    last = records[-1]
    if last["kind"] == "stop":
        error = last["error"].encode(errors="replace").decode()  # it may name a file that is no UTF-8
        return f"{last['status']}: {error}; see {folder.log}"
    return f"no result; {journalled}"


def _cells(jobs: Iterable[FinishedJob], varies: tuple[str, ...]) -> tuple[Cell, ...]:
    groups: dict[str, list[FinishedJob]] = {}
    for job in jobs:
        groups.setdefault(job.start["cell"], []).append(job)
    names = {key: job_name(group[0].leaves, varies, seed=False) for key, group in groups.items()}
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
