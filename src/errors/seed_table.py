"""Arranges the errors of all runs by seed and cell, and compares the cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from src.errors.answers import Bools, CellPredictions, Labels
from src.errors.calibration import Floats
from src.errors.chance import Order
from src.runs.seeds import seed_of

MAX_CONFUSIONS = 100  # only the most frequent confusions of two classes are compared
MAX_MATRIX_CELLS = 100  # with more cells, their disagreement is not computed


@dataclass(frozen=True)
class SeedTable:
    """The errors of all runs by seed and cell.  Without a run of a cell, a seed has zeros.

    Each method takes an arrangement of the runs (see `chance_limits`); None is the observed one.
    """

    present: Bools  # whether there is a run (seeds, cells)
    class_pairs: Labels  # label and predicted class of the most frequent confusions (confusions, 2)
    counts: Floats  # for each run, the images described in `means` (seeds, cells, 2 + confusions)
    differing: Floats | None  # share of images on which cell a, and cell b with the next seed, differ (seeds, a, b)

    def means(self, order: Order | None = None) -> Floats:
        """Numbers of images, mean over the seeds of each cell (cells, 2 + confusions).

        The first two columns count the images that, of the seed's runs, only this one gets wrong, and only this one
        gets right.  The other columns count the images with each confusion in `class_pairs`.
        """
        counts = self.counts if order is None else self.counts[np.arange(len(order))[:, None], order]
        means: Floats = counts.sum(axis=0) / self.present.sum(axis=0)[:, None]
        return means

    def disagreement(self, order: Order | None = None) -> Floats:
        """The share of images on which runs of two cells disagree (cells, cells); the diagonal has runs of one cell.

        A run is compared with the runs of the next seed, and the last seed with the first.  With one seed, the runs of
        this seed are compared.  NaN where there are no such runs; empty (0, 0) for over `MAX_MATRIX_CELLS` cells.
        """
        if self.differing is None:
            return np.empty((0, 0))
        shares, (seeds, cells, _) = self.differing, self.differing.shape
        if order is not None:
            row, column = order + np.arange(0, seeds * cells, cells)[:, None], np.roll(order, -1, axis=0)
            shares = shares.take(cells * row[:, :, None] + column[:, None])
        total = shares.sum(axis=0)
        disagreement: Floats = (total + total.T) / self._compared_runs
        return disagreement

    @cached_property
    def _compared_runs(self) -> Floats:
        """The number of pairs of runs in `disagreement` (cells, cells); NaN for none."""
        runs = self.present.astype(np.float64)
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
        same = np.diagonal(shares)
        return shares - (same[:, None] + same) / 2

    def largest(self, order: Order | None = None) -> dict[str, float]:
        """The largest value of each kind over all cells: the values that `chance_limits` limits."""
        means = self.means(order)
        wrong, right = means[:, :2].max(axis=0).tolist()
        gap = np.ptp(means[:, 2:], axis=0).max(initial=0)
        excess = np.nan_to_num(self.excess_disagreement(order)).max(initial=0)
        return {"wrong alone": wrong, "right alone": right, "confusion": float(gap), "disagreement": float(excess)}


def seed_table(answers: Mapping[str, CellPredictions], n_classes: int) -> SeedTable:
    """Arrange the errors of at least one cell."""
    label = next(iter(answers.values())).label
    by_seed = [{seed_of(name): run.predicted for name, run in cell.runs.items()} for cell in answers.values()]
    seeds = sorted(set[int]().union(*by_seed))
    present = np.array([[seed in runs for runs in by_seed] for seed in seeds])
    predicted = np.tile(label.astype(np.int16), (*present.shape, 1))  # a missing run makes no errors
    for seed, cell in np.argwhere(present).tolist():
        predicted[seed, cell] = by_seed[cell][seeds[seed]]
    wrong = predicted != label
    alone = np.zeros((*present.shape, 2))
    for counts, runs, errors in zip(alone, present, wrong, strict=True):
        for kind, chosen in enumerate((errors[runs], ~errors[runs]) if runs.sum() > 1 else ()):
            counts[runs, kind] = (chosen & (chosen.sum(axis=0) == 1)).sum(axis=1)
    run, image = np.nonzero(wrong.reshape(-1, len(label)))  # of each error
    confusion = label[image] * n_classes + predicted.reshape(-1, len(label))[run, image]
    frequent, confused = _frequent_confusions(run, confusion, present.size)
    counts = np.concatenate([alone, confused.reshape(*present.shape, len(frequent))], axis=2)
    class_pairs = np.stack(np.divmod(frequent, n_classes), axis=1)
    differing = None if len(answers) > MAX_MATRIX_CELLS else _differing(run, image, confusion, present) / len(label)
    return SeedTable(present, class_pairs, counts, differing)


def _frequent_confusions(run: Labels, confusion: Labels, runs: int) -> tuple[Labels, Floats]:
    """The most frequent confusions, ascending, and how often each run makes them (runs, confusions)."""
    confusions, position, total = np.unique(confusion, return_inverse=True, return_counts=True)
    frequent = np.sort(np.argsort(-total, kind="stable")[:MAX_CONFUSIONS])
    column = np.full(len(confusions), -1)
    column[frequent] = np.arange(len(frequent))
    kept = column[position] >= 0
    flat = np.bincount(run[kept] * len(frequent) + column[position[kept]], minlength=runs * len(frequent))
    return confusions[frequent], flat.astype(np.float64).reshape(runs, len(frequent))


def _differing(run: Labels, image: Labels, confusion: Labels, present: Bools) -> Floats:
    """The number of images on which run (seed, a) and run (next seed, b) differ (seeds, a, b); 0 if one is missing.

    Two runs differ where at least one is wrong, unless both predict the same wrong class.
    """
    seeds, cells = present.shape
    errors = np.bincount(run, minlength=present.size).reshape(seeds, cells)
    _, same = np.unique(image * (confusion.max(initial=0) + 1) + confusion, return_inverse=True)
    column = np.concatenate([image, same + image.max(initial=0) + 1])
    ones, shape = np.ones(len(column), dtype=np.int32), (present.size, int(column.max(initial=0)) + 1)
    marks = csr_array((ones, (np.tile(run, 2), column)), shape)
    by_seed = [marks[seed * cells : (seed + 1) * cells] for seed in range(seeds)]
    differing = np.zeros((seeds, cells, cells))
    for seed in range(seeds):
        following = (seed + 1) % seeds
        both = np.outer(present[seed], present[following])
        shared = (by_seed[seed] @ by_seed[following].T).toarray()
        differing[seed] = both * (errors[seed][:, None] + errors[following] - shared)
    return differing
