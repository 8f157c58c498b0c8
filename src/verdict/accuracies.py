"""Arranges the test accuracies of all runs on the same images in one array: a row per cell, a column per seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.results.results import Results
from src.results.statistics import Bools, Counts, Floats
from src.runs.identity import applies
from src.verdict.points import ACCURACY, Measure

Levels = tuple[Any, ...]
"""A value for each factor."""
NOT_READ = object()  # stands for the value of a key that the options of a cell do not read


@dataclass(frozen=True)
class Accuracies:
    """The accuracies of all cells that were tested on the same images, from 0 to 1.

    The rows have an order that does not depend on how a command was typed.
    """

    dataset: str  # the dataset's name, such as `mnist 1a2b3c4d`
    images: float  # number of test images; accuracies are multiples of 1 / images
    cells: tuple[str, ...]  # names of the cells
    levels: tuple[Levels, ...]  # for each cell, its value of each factor
    seeds: tuple[int, ...]  # the seeds, ascending
    runs: npt.NDArray[np.object_]  # names of the runs (cells, seeds), None where a seed has no run
    test: Floats  # test accuracies (cells, seeds), NaN where a seed has no run
    validation: Floats  # validation accuracies of the same runs (cells, seeds)
    measurements: Counts  # a number per run (cells, seeds), equal for runs with bit-identical metrics; -1 without a run
    measure: Measure = ACCURACY
    has_validation: bool = True  # if not, `validation` equals `test`, and validation chooses no cell

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

    def select(self, kept_rows: Bools) -> "Accuracies":
        """Return only the cells that `kept_rows` (cells,) marks."""
        positions = np.flatnonzero(kept_rows)
        arrays = {name: getattr(self, name)[positions] for name in ("runs", "test", "validation", "measurements")}
        cells, levels = tuple(self.cells[row] for row in positions), tuple(self.levels[row] for row in positions)
        return replace(self, cells=cells, levels=levels, **arrays)

    def without_constant_factors(self, factors: Sequence[str]) -> tuple["Accuracies", list[str]]:
        """Return the table and the factors without those that have one value, such as the dataset."""
        positions = [k for k in range(len(factors)) if len({levels[k] for levels in self.levels}) > 1]
        levels = tuple(tuple(cell_levels[k] for k in positions) for cell_levels in self.levels)
        return replace(self, levels=levels), [factors[k] for k in positions]


def accuracies_by_dataset(results: Results, factors: Sequence[str], runs: pd.DataFrame) -> list[Accuracies]:
    """Return the accuracies of some rows of `results.runs`, one object per dataset, ordered by the dataset's name."""
    tables = []
    numbered_runs = runs.assign(measurement=_measurement_numbers(results, runs))
    for (name, digest), dataset_runs in numbered_runs.groupby(["dataset_name", "dataset"], sort=True):
        tables.append(_arrange_runs(str(name), int(results.sources[str(digest)]["test"]), dataset_runs, factors))
    return tables


def _arrange_runs(dataset: str, images: int, runs: pd.DataFrame, factors: Sequence[str]) -> Accuracies:
    settings_by_cell = {settings["cell"]: settings for settings in runs.drop_duplicates("cell").to_dict("records")}
    levels = {
        name: tuple(settings[path] if applies(path, settings) else NOT_READ for path in factors)
        for name, settings in settings_by_cell.items()
    }
    cells = sorted(settings_by_cell, key=lambda name: (*map(level_sort_key, levels[name]), name))
    rows = runs["cell"].map({name: position for position, name in enumerate(cells)}).to_numpy()
    columns, seeds = pd.factorize(runs["seed"], sort=True)

    def by_cell_and_seed(name: str, missing: float | None) -> npt.NDArray[Any]:
        values = np.full((len(cells), len(seeds)), missing)
        values[rows, columns] = runs[name]
        return values

    return Accuracies(
        dataset,
        images,
        tuple(map(str, cells)),
        tuple(levels[name] for name in cells),
        tuple(map(int, seeds)),
        by_cell_and_seed("run", None),
        by_cell_and_seed("test/accuracy", np.nan),
        by_cell_and_seed("val/accuracy", np.nan),
        by_cell_and_seed("measurement", -1).astype(np.int64),
    )


def level_sort_key(level: Any) -> tuple[int, float, str]:
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
    cell_count = len(test)
    seed_counts = np.zeros((cell_count, cell_count), dtype=np.int64)
    means, sds = np.zeros((cell_count, cell_count)), np.zeros((cell_count, cell_count))
    for row, values in enumerate(test):  # a loop, because all pairs at once would need too much memory
        differences = values - test
        common = ~np.isnan(differences)
        differences = np.where(common, differences, 0.0)
        seed_counts[row] = common.sum(axis=1)
        means[row] = differences.sum(axis=1) / np.maximum(seed_counts[row], 1)
        squares = (np.where(common, differences - means[row][:, None], 0.0) ** 2).sum(axis=1)
        sds[row] = np.sqrt(squares / np.maximum(seed_counts[row] - 1, 1))
    return seed_counts, means, sds


def rows_by_level(table: Accuracies, positions: Sequence[int]) -> dict[Levels, dict[Levels, int]]:
    """Map the levels of the factors at `positions` to the rows with these levels, by setting: all other levels."""
    by_level: dict[Levels, dict[Levels, int]] = {}
    for row, levels in enumerate(table.levels):
        setting = tuple(level for position, level in enumerate(levels) if position not in positions)
        by_level.setdefault(tuple(levels[position] for position in positions), {})[setting] = row
    return by_level
