"""Arranges the test accuracies of all runs on the same images in one array: a row per cell, a column per seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.results.results import Results
from src.runs.identity import applies
from src.verdict.statistics import Bools, Counts, Floats

Levels = tuple[Any, ...]
"""A value for each factor."""
NOT_READ = object()  # stands for the value of a key that the options of a cell do not read


@dataclass(frozen=True)
class Accuracies:
    """The accuracies of all cells that were tested on the same images, from 0 to 1.

    The rows have an order that does not depend on how a command was typed.
    """

    dataset: str  # the dataset's name, such as `mnist 1a2b3c4d`
    images: int  # number of test images
    cells: tuple[str, ...]  # names of the cells
    levels: tuple[Levels, ...]  # for each cell, its value of each factor
    seeds: tuple[int, ...]  # the seeds, ascending
    runs: npt.NDArray[np.object_]  # names of the runs (cells, seeds), None where a seed has no run
    test: Floats  # test accuracies (cells, seeds), NaN where a seed has no run
    validation: Floats  # validation accuracies of the same runs (cells, seeds)
    measurements: Counts  # a number per run (cells, seeds), equal for runs with bit-identical metrics; -1 without a run

    @cached_property
    def seed_counts(self) -> Counts:
        """The number of seeds of each cell (cells,)."""
        counts: Counts = (~np.isnan(self.test)).sum(axis=1)
        return counts

    @cached_property
    def means(self) -> Floats:
        """The mean test accuracy of each cell over its seeds (cells,)."""
        means: Floats = np.nanmean(self.test, axis=1)
        return means

    @cached_property
    def validation_means(self) -> Floats:
        """The mean validation accuracy of each cell over its seeds (cells,)."""
        means: Floats = np.nanmean(self.validation, axis=1)
        return means

    def select(self, rows: Bools) -> "Accuracies":
        """Return only the cells that `rows` (cells,) marks."""
        chosen = np.flatnonzero(rows)
        arrays = {name: getattr(self, name)[chosen] for name in ("runs", "test", "validation", "measurements")}
        cells, levels = tuple(self.cells[row] for row in chosen), tuple(self.levels[row] for row in chosen)
        return replace(self, cells=cells, levels=levels, **arrays)

    def only_varying(self, factors: Sequence[str]) -> tuple["Accuracies", list[str]]:
        """Return the table and the factors without those that have one value, such as the dataset."""
        kept = [k for k in range(len(factors)) if len({levels[k] for levels in self.levels}) > 1]
        levels = tuple(tuple(of_cell[k] for k in kept) for of_cell in self.levels)
        return replace(self, levels=levels), [factors[k] for k in kept]


def accuracies_by_dataset(results: Results, factors: Sequence[str], runs: pd.DataFrame) -> list[Accuracies]:
    """Return the accuracies of some rows of `results.runs`, one object per dataset, ordered by the dataset's name."""
    tables = []
    numbered = runs.assign(measurement=_measurement_numbers(results, runs))
    for (name, digest), group in numbered.groupby(["dataset_name", "dataset"], sort=True):
        tables.append(_arrange(str(name), int(results.sources[str(digest)]["test"]), group, factors))
    return tables


def _arrange(dataset: str, images: int, runs: pd.DataFrame, factors: Sequence[str]) -> Accuracies:
    by_cell = {cell["cell"]: cell for cell in runs.drop_duplicates("cell").to_dict("records")}
    levels = {
        name: tuple(cell[path] if applies(path, cell) else NOT_READ for path in factors)
        for name, cell in by_cell.items()
    }
    cells = sorted(by_cell, key=lambda name: (*map(level_order, levels[name]), name))
    row = runs["cell"].map({name: position for position, name in enumerate(cells)}).to_numpy()
    column, seeds = pd.factorize(runs["seed"], sort=True)

    def table(name: str, missing: float | None) -> npt.NDArray[Any]:
        values = np.full((len(cells), len(seeds)), missing)
        values[row, column] = runs[name]
        return values

    return Accuracies(
        dataset,
        images,
        tuple(map(str, cells)),
        tuple(levels[name] for name in cells),
        tuple(map(int, seeds)),
        table("run", None),
        table("test/accuracy", np.nan),
        table("val/accuracy", np.nan),
        table("measurement", -1).astype(np.int64),
    )


def level_order(level: Any) -> tuple[int, float, str]:
    """A sort key for the values of a factor: values that a cell does not read, null, numbers ascending, then texts."""
    if level is NOT_READ or level is None:
        return (0 if level is NOT_READ else 1), 0.0, ""
    if isinstance(level, bool | int | float):
        return 2, float(level), ""
    return 3, 0.0, str(level)


def _measurement_numbers(results: Results, runs: pd.DataFrame) -> list[int]:
    """Number the runs.  Runs with bit-identical metrics in all epochs get the same number; times do not count."""
    final_metrics = runs.filter(regex="^(?!seconds/).*/").to_numpy(np.float64) + 0.0  # -0.0 becomes 0.0
    epoch_metrics = results.epochs.filter(regex="^(?!time/).*/").to_numpy(np.float64) + 0.0
    rows = results.epochs.groupby("run").indices  # rows of `epoch_metrics` by run
    numbers: dict[Any, int] = {}
    return [
        numbers.setdefault((final_metrics[k].tobytes(), epoch_metrics[rows[run]].tobytes()) if run in rows else k, k)
        for k, run in enumerate(runs["run"])
    ]


def mean_differences(test: Floats) -> tuple[Counts, Floats, Floats]:
    """For every two cells: the number of common seeds, the mean difference, and its standard deviation over seeds.

    The results are arrays (cells, cells), row minus column, with 0 for cells without a common seed.
    """
    cells = len(test)
    n = np.zeros((cells, cells), dtype=np.int64)
    mean, sd = np.zeros((cells, cells)), np.zeros((cells, cells))
    for row, values in enumerate(test):  # a loop, because all pairs at once would need too much memory
        differences = values - test
        common = ~np.isnan(differences)
        differences = np.where(common, differences, 0.0)
        n[row] = common.sum(axis=1)
        mean[row] = differences.sum(axis=1) / np.maximum(n[row], 1)
        squares = (np.where(common, differences - mean[row][:, None], 0.0) ** 2).sum(axis=1)
        sd[row] = np.sqrt(squares / np.maximum(n[row] - 1, 1))
    return n, mean, sd


def rows_by_level(table: Accuracies, positions: Sequence[int]) -> dict[Levels, dict[Levels, int]]:
    """Map the levels of the factors at `positions` to the rows with these levels, by setting: all other levels."""
    by_level: dict[Levels, dict[Levels, int]] = {}
    for row, levels in enumerate(table.levels):
        setting = tuple(level for k, level in enumerate(levels) if k not in positions)
        by_level.setdefault(tuple(levels[k] for k in positions), {})[setting] = row
    return by_level
