"""How cells differ in the test images that they misclassify, and in what they take them for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from src.errors.answers import Bools, Classes
from src.runs.predictions import Indices

IMAGES_AT_ONCE = 256  # while answers are compared; bounds the memory, not the result


@dataclass(frozen=True)
class ConfusionDifference:
    """A confusion that one cell makes more often than another: images of class `label` taken for `predicted`."""

    label: int
    predicted: int
    more: str  # the cell that makes it most often
    less: str  # the cell that makes it least often
    times_more: float  # a run, mean over seeds
    times_less: float

    @property
    def difference(self) -> float:
        """How many times more often, a run."""
        return self.times_more - self.times_less


def confusion_differences(cells: Sequence[str], confusions: npt.NDArray[np.float64]) -> tuple[ConfusionDifference, ...]:
    """For every confusion the cells that make it most and least often, the largest difference first.

    The largest of many differences is large by chance too: they say where to look, not what is so.

    Args:
        cells: their labels.
        confusions: how often each class (row) is taken for each class (column), mean over a cell's runs
            (cells, classes, classes).
    """
    found = []
    for (row, column), most in np.ndenumerate(confusions.argmax(axis=0)):
        least = int(confusions[:, row, column].argmin())
        more, less = float(confusions[most, row, column]), float(confusions[least, row, column])
        if row != column and more > less:
            found.append(ConfusionDifference(row, column, cells[most], cells[least], more, less))
    return tuple(sorted(found, key=lambda item: (-item.difference, item.label, item.predicted)))


def by_one_alone(chosen: Bools, opposite: Bools) -> list[Indices]:
    """For each cell the images that it does something with, while all other cells do the opposite, ascending.

    Args:
        chosen: such as which cell gets which image wrong (cells, N).
        opposite: such as which cell gets which image right; never with `chosen` (cells, N).
    """
    if len(chosen) < 2:
        return [np.empty(0, dtype=np.int64) for _ in chosen]
    alone = chosen & (opposite.sum(axis=0) == len(chosen) - 1)
    return [np.flatnonzero(row).astype(np.int64) for row in alone]


def disagreement(cells: Sequence[Sequence[Classes]], n_classes: int) -> npt.NDArray[np.float64]:
    """On which share of the images a run of one cell and a run of another differ, mean over such pairs of runs.

    Args:
        cells: each cell's runs, each with its predicted classes (N,).
        n_classes: how many classes there are.

    Returns:
        (cells, cells), symmetric; on the diagonal two different runs of that cell, NaN where it has one only.
    """
    if not cells:
        return np.empty((0, 0))
    answers = np.stack([run for cell in cells for run in cell])  # (runs, N)
    sizes = np.array([len(cell) for cell in cells])
    starts = np.cumsum(sizes) - sizes
    contested = np.flatnonzero((answers != answers[0]).any(axis=0))
    alike = np.zeros((len(cells), len(cells)))  # pairs of runs, summed over contested images
    for begin in range(0, len(contested), IMAGES_AT_ONCE):
        some = answers[:, contested[begin : begin + IMAGES_AT_ONCE]]
        hot = [np.add.reduceat(some == k, starts, axis=0, dtype=np.float32) for k in range(n_classes)]
        votes = np.concatenate(hot, axis=1)  # (cells, classes x images)
        alike += votes @ votes.T  # whole numbers below 2**24, exact in 32 bits, up to 256 seeds a cell
    pairs = np.outer(sizes, sizes)
    own = np.arange(len(cells))
    alike[own, own] -= sizes * len(contested)  # a run and itself
    pairs[own, own] -= sizes
    shares = np.full(pairs.shape, np.nan)
    np.divide(pairs * len(contested) - alike, pairs * answers.shape[1], out=shares, where=pairs > 0)
    return shares
