"""Arranges the errors of all runs by seed and cell, and compares the cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from src.errors.answers import CellPredictions, Labels
from src.errors.chance import Order
from src.results.statistics import Bools, Floats
from src.runs.seeds import seed_of

MAX_CONFUSIONS = 100  # only the most frequent confusions of two classes are compared
MAX_MATRIX_CELLS = 100  # with more cells, their disagreement is not computed


@dataclass(frozen=True)
class SeedTable:
    """The errors of all runs by seed and cell.  Without a run of a cell, a seed has zeros.

    Each method takes an arrangement of the runs (see `chance_limits`); None is the observed one.
    """

    has_run: Bools  # whether there is a run (seeds, cells)
    class_pairs: Labels  # label and predicted class of the most frequent confusions (confusions, 2)
    counts: Floats  # for each run, the images described in `means` (seeds, cells, 2 + confusions)
    differing: Floats | None  # share of images on which cell a, and cell b with the next seed, differ (seeds, a, b)

    def means(self, order: Order | None = None) -> Floats:
        """Numbers of images, mean over the seeds of each cell (cells, 2 + confusions).

        The first two columns count the images that, of the seed's runs, only this one gets wrong, and only this one
        gets right.  The other columns count the images with each confusion in `class_pairs`.
        """
        counts = self.counts if order is None else self.counts[np.arange(len(order))[:, None], order]
        means: Floats = counts.sum(axis=0) / self.has_run.sum(axis=0)[:, None]
        return means

    def disagreement(self, order: Order | None = None) -> Floats:
        """The share of images on which runs of two cells disagree (cells, cells); the diagonal has runs of one cell.

        A run is compared with the runs of the next seed, and the last seed with the first.  With one seed, the runs of
        this seed are compared.  NaN where there are no such runs; empty (0, 0) for over `MAX_MATRIX_CELLS` cells.
        """
        if self.differing is None:
            return np.empty((0, 0))
        if order is None:
            share_sums = self.differing.sum(axis=0)
        else:  # seed by seed, so the numbers fit into the processor's cache
            share_sums = np.zeros(self.differing.shape[1:])
            for shares, rows, columns in zip(self.differing, order, np.roll(order, -1, axis=0), strict=True):
                share_sums += shares.take(rows, axis=0).take(columns, axis=1)
        disagreement: Floats = (share_sums + share_sums.T) / self._compared_runs
        return disagreement

    @cached_property
    def _compared_runs(self) -> Floats:
        """The number of pairs of runs in `disagreement` (cells, cells); NaN for none."""
        runs = self.has_run.astype(np.float64)
        pairs = runs.T @ np.roll(runs, -1, axis=0)
        if len(runs) == 1:
            np.fill_diagonal(pairs, 0)
        pairs += pairs.T
        return np.where(pairs > 0, pairs, np.nan)

    def excess_disagreement(self, order: Order | None = None) -> Floats:
        """By how much two cells disagree more than two seeds of one of them, a share of the images (cells, cells).

        NaN where it is unknown.  It is 0 on average for cells that are the same method.
        """
        shares = self.disagreement(order)
        within_cell = np.diagonal(shares)
        return shares - (within_cell[:, None] + within_cell) / 2

    def largest_values(self, order: Order | None = None) -> dict[str, float]:
        """The largest value of each kind over all cells: the values that `chance_limits` limits."""
        means = self.means(order)
        wrong, right = means[:, :2].max(axis=0).tolist()
        gap = np.ptp(means[:, 2:], axis=0).max(initial=0)
        excess = np.nan_to_num(self.excess_disagreement(order)).max(initial=0)
        return {"wrong alone": wrong, "right alone": right, "confusion": float(gap), "disagreement": float(excess)}


@dataclass(frozen=True)
class ConfusionDifference:
    """A confusion of two classes, with the cells that make it most and least often."""

    label: int  # the true class
    predicted: int  # the wrongly predicted class
    more: str  # the cell with this confusion in the most images
    less: str  # the cell with this confusion in the fewest images
    times_more: float  # images per run of the cell `more`, mean over seeds
    times_less: float  # images per run of the cell `less`, mean over seeds


def seed_table(cells: Mapping[str, CellPredictions], n_classes: int) -> SeedTable:
    """Arrange the errors of at least one cell."""
    label = next(iter(cells.values())).label
    predicted_by_seed = [{seed_of(name): run.predicted for name, run in cell.runs.items()} for cell in cells.values()]
    seeds = sorted(set[int]().union(*predicted_by_seed))
    has_run = np.array([[seed in runs for runs in predicted_by_seed] for seed in seeds])
    predicted = np.tile(label.astype(np.int16), (*has_run.shape, 1))  # a missing run makes no errors
    for seed, cell in np.argwhere(has_run).tolist():
        predicted[seed, cell] = predicted_by_seed[cell][seeds[seed]]
    wrong = predicted != label
    single_counts = np.zeros((*has_run.shape, 2))
    for counts, runs, errors in zip(single_counts, has_run, wrong, strict=True):
        for column, marked in enumerate((errors[runs], ~errors[runs]) if runs.sum() > 1 else ()):
            counts[runs, column] = (marked & (marked.sum(axis=0) == 1)).sum(axis=1)
    run, image = np.nonzero(wrong.reshape(-1, len(label)))  # of each error
    confusion = label[image] * n_classes + predicted.reshape(-1, len(label))[run, image]
    frequent_confusions, confusion_counts = _frequent_confusions(run, confusion, has_run.size)
    counts = np.concatenate([single_counts, confusion_counts.reshape(*has_run.shape, len(frequent_confusions))], axis=2)
    class_pairs = np.stack(np.divmod(frequent_confusions, n_classes), axis=1)
    shares = None if len(cells) > MAX_MATRIX_CELLS else _differing_images(run, image, confusion, has_run) / len(label)
    return SeedTable(has_run, class_pairs, counts, shares)


def confusion_differences(cells: Sequence[str], class_pairs: Labels, means: Floats) -> tuple[ConfusionDifference, ...]:
    """For each confusion of two classes, the cells that make it most and least often, the largest difference first.

    `class_pairs` holds labels and predicted classes (confusions, 2), and `means` the images with each confusion, mean
    over the runs of a cell (cells, confusions).
    """
    most, least = means.argmax(axis=0), means.argmin(axis=0)
    differences = [
        ConfusionDifference(label, predicted, cells[more], cells[less], float(times[more]), float(times[less]))
        for (label, predicted), more, less, times in zip(class_pairs.tolist(), most, least, means.T, strict=True)
        if times[more] > times[less]
    ]
    return tuple(sorted(differences, key=lambda pair: (pair.times_less - pair.times_more, pair.label, pair.predicted)))


def _frequent_confusions(run: Labels, confusion: Labels, run_count: int) -> tuple[Labels, Floats]:
    """The most frequent confusions, ascending, and how often each run makes them (runs, confusions)."""
    confusions, positions, totals = np.unique(confusion, return_inverse=True, return_counts=True)
    frequent = np.sort(np.argsort(-totals, kind="stable")[:MAX_CONFUSIONS])
    columns = np.full(len(confusions), -1)
    columns[frequent] = np.arange(len(frequent))
    kept = columns[positions] >= 0
    counts = np.bincount(run[kept] * len(frequent) + columns[positions[kept]], minlength=run_count * len(frequent))
    return confusions[frequent], counts.astype(np.float64).reshape(run_count, len(frequent))


def _differing_images(run: Labels, image: Labels, confusion: Labels, has_run: Bools) -> Floats:
    """The number of images on which run (seed, a) and run (next seed, b) differ (seeds, a, b); 0 if one is missing.

    Two runs differ where at least one is wrong, unless both predict the same wrong class.
    """
    seeds, cells = has_run.shape
    error_counts = np.bincount(run, minlength=has_run.size).reshape(seeds, cells)
    _, confusion_number = np.unique(image * (confusion.max(initial=0) + 1) + confusion, return_inverse=True)
    columns = np.concatenate([image, confusion_number + image.max(initial=0) + 1])
    ones, shape = np.ones(len(columns), dtype=np.int32), (has_run.size, int(columns.max(initial=0)) + 1)
    error_matrix = csr_array((ones, (np.tile(run, 2), columns)), shape)
    errors_by_seed = [error_matrix[seed * cells : (seed + 1) * cells] for seed in range(seeds)]
    differing_counts = np.zeros((seeds, cells, cells))
    for seed in range(seeds):
        next_seed = (seed + 1) % seeds
        both_present = np.outer(has_run[seed], has_run[next_seed])
        shared = (errors_by_seed[seed] @ errors_by_seed[next_seed].T).toarray()
        differing_counts[seed] = both_present * (error_counts[seed][:, None] + error_counts[next_seed] - shared)
    return differing_counts
