"""Compares the test errors of cells: errors of one cell alone, disagreement, and confusions of classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from src.errors.answers import Bools, Classes
from src.runs.predictions import Indices

IMAGES_AT_ONCE = 2048  # limits the memory of `disagreement`, not its result


@dataclass(frozen=True)
class ConfusionDifference:
    """A confusion that two cells make most and least often: images of class `label` predicted as `predicted`."""

    label: int
    predicted: int
    more: str  # the cell that makes it most often
    less: str  # the cell that makes it least often
    times_more: float  # images per run, mean over seeds
    times_less: float


def confusion_differences(cells: Sequence[str], confusions: npt.NDArray[np.float64]) -> tuple[ConfusionDifference, ...]:
    """The cells that make each confusion most and least often, the largest difference first.

    The largest of many differences is partly chance: it suggests where to look and proves nothing.  `confusions` holds
    each cell's confusion matrix, rows are labels, mean over its runs (cells, classes, classes).
    """
    differences = []
    for (row, column), most in np.ndenumerate(confusions.argmax(axis=0)):
        least = int(confusions[:, row, column].argmin())
        more, less = float(confusions[most, row, column]), float(confusions[least, row, column])
        if row != column and more > less:
            differences.append(ConfusionDifference(row, column, cells[most], cells[least], more, less))
    return tuple(sorted(differences, key=lambda pair: (pair.times_less - pair.times_more, pair.label, pair.predicted)))


def by_one_alone(chosen: Bools, opposite: Bools) -> list[Indices]:
    """For each cell the images that only this cell gets wrong, in ascending order; or right, with swapped arguments.

    `chosen` marks the images that each cell gets wrong (cells, N), `opposite` those it gets right; a tie is in neither.
    """
    if len(chosen) < 2:
        return [np.empty(0, dtype=np.int64) for _ in chosen]
    alone = chosen & (opposite.sum(axis=0) == len(chosen) - 1)
    return [np.flatnonzero(row).astype(np.int64) for row in alone]


def disagreement(cells: Sequence[Sequence[Classes]], n_classes: int) -> npt.NDArray[np.float64]:
    """The share of images on which two runs predict different classes, averaged over pairs of runs of two cells.

    `cells` holds the predicted classes (N,) of each run of each cell.  The result (cells, cells) is symmetric; its
    diagonal compares two runs of the same cell, and is NaN for a cell with one run.
    """
    if not cells:
        return np.empty((0, 0))
    answers = np.stack([run for cell in cells for run in cell])  # (runs, N)
    sizes = np.array([len(cell) for cell in cells])
    starts = np.cumsum(sizes) - sizes
    contested = np.flatnonzero((answers != answers[0]).any(axis=0))
    alike = np.zeros((len(cells), len(cells)))  # agreeing pairs of runs, summed over contested images
    step = max(1, min(IMAGES_AT_ONCE, 2**24 // int(sizes.max()) ** 2))  # keeps the sums below 2**24, exact in 32 bits
    for begin in range(0, len(contested), step):
        some = answers[:, contested[begin : begin + step]]
        hot = [np.add.reduceat(some == k, starts, axis=0, dtype=np.float32) for k in range(n_classes)]
        votes = np.concatenate(hot, axis=1)  # (cells, classes x images)
        alike += votes @ votes.T
    pairs = np.outer(sizes, sizes)
    own = np.arange(len(cells))
    alike[own, own] -= sizes * len(contested)  # a run always agrees with itself
    pairs[own, own] -= sizes
    shares = np.full(pairs.shape, np.nan)
    np.divide(pairs * len(contested) - alike, pairs * answers.shape[1], out=shares, where=pairs > 0)
    return shares
