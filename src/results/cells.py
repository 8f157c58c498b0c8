"""The earlier form of the results, cells of jobs, for the rooms that do not read frames yet."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from src.runs.folder import FinishedJob
from src.runs.identity import applies


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


def cells_of(runs: pd.DataFrame, jobs: Mapping[str, FinishedJob]) -> tuple[Cell, ...]:
    """The runs as cells of jobs."""
    groups = runs.groupby(["cell_key", "cell"], sort=False)["run"]
    return tuple(Cell(str(key), str(label), tuple(jobs[run] for run in names)) for (key, label), names in groups)
