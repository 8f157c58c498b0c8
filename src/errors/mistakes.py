"""Compares the test errors of cells: errors that only one cell makes, disagreement, and confusions of classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from src.errors.answers import Bools, Classes
from src.runs.predictions import Indices

IMAGES_AT_ONCE = 2048  # limits the memory of `disagreement`; the result is the same for any number


@dataclass(frozen=True)
class ConfusionDifference:
    """A confusion of two classes, with the cells that make it most and least often."""

    label: int  # the true class
    predicted: int  # the wrongly predicted class
    more: str  # the cell with this confusion in the most images
    less: str  # the cell with this confusion in the fewest images
    times_more: float  # images per run of the cell `more`, mean over seeds
    times_less: float  # images per run of the cell `less`, mean over seeds


def confusion_differences(cells: Sequence[str], confusions: npt.NDArray[np.float64]) -> tuple[ConfusionDifference, ...]:
    """For each confusion of two classes, the cells that make it most and least often, the largest difference first.

    The largest of many differences is partly chance: it suggests where to look and proves nothing.  `confusions` holds
    the confusion matrix of each cell, mean over its runs, with labels as rows (cells, classes, classes).
    """
    differences = []
    for (row, column), most in np.ndenumerate(confusions.argmax(axis=0)):
        least = int(confusions[:, row, column].argmin())
        more, less = float(confusions[most, row, column]), float(confusions[least, row, column])
        if row != column and more > less:
            differences.append(ConfusionDifference(row, column, cells[most], cells[least], more, less))
    return tuple(sorted(differences, key=lambda item: (item.times_less - item.times_more, item.label, item.predicted)))


def images_of_one_cell(marked: Bools, opposite: Bools) -> list[Indices]:
    """For each cell, the images that `marked` marks for this cell and `opposite` marks for all other cells, ascending.

    Pass arrays (cells, N) of wrong and right predictions to find the images that only this cell gets wrong.
    """
    if len(marked) < 2:
        return [np.empty(0, dtype=np.int64) for _ in marked]
    only_this_cell = marked & (opposite.sum(axis=0) == len(marked) - 1)
    return [np.flatnonzero(row).astype(np.int64) for row in only_this_cell]


def disagreement(cells: Sequence[Sequence[Classes]], n_classes: int) -> npt.NDArray[np.float64]:
    """The share of images for which two runs, one of each cell, predict different classes, mean over all such runs.

    `cells` holds the predicted classes (N,) of each run of each cell.  The result (cells, cells) is symmetric; its
    diagonal compares two runs of the same cell, and is NaN for a cell with one run.
    """
    if not cells:
        return np.empty((0, 0))
    predicted = np.stack([run for cell in cells for run in cell])  # (runs, N)
    sizes = np.array([len(cell) for cell in cells])
    starts = np.cumsum(sizes) - sizes
    contested = np.flatnonzero((predicted != predicted[0]).any(axis=0))
    agreeing_pairs = np.zeros((len(cells), len(cells)))  # pairs of runs that agree, summed over contested images
    step = max(1, min(IMAGES_AT_ONCE, 2**24 // int(sizes.max()) ** 2))  # 32-bit floats are exact only below 2**24
    for begin in range(0, len(contested), step):
        batch = predicted[:, contested[begin : begin + step]]
        by_class = [np.add.reduceat(batch == k, starts, axis=0, dtype=np.float32) for k in range(n_classes)]
        votes = np.concatenate(by_class, axis=1)  # (cells, classes x images)
        agreeing_pairs += votes @ votes.T
    pairs = np.outer(sizes, sizes)
    diagonal = np.arange(len(cells))
    agreeing_pairs[diagonal, diagonal] -= sizes * len(contested)  # a run always agrees with itself
    pairs[diagonal, diagonal] -= sizes
    shares = np.full(pairs.shape, np.nan)
    np.divide(pairs * len(contested) - agreeing_pairs, pairs * predicted.shape[1], out=shares, where=pairs > 0)
    return shares
