"""Compares the test errors of cells: errors that only one cell makes, and confusions of two classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from src.errors.answers import Bools
from src.runs.predictions import Indices


@dataclass(frozen=True)
class ConfusionDifference:
    """A confusion of two classes, with the cells that make it most and least often."""

    label: int  # the true class
    predicted: int  # the wrongly predicted class
    more: str  # the cell with this confusion in the most images
    less: str  # the cell with this confusion in the fewest images
    times_more: float  # images per run of the cell `more`, mean over seeds
    times_less: float  # images per run of the cell `less`, mean over seeds


def confusion_differences(
    cells: Sequence[str], class_pairs: npt.NDArray[np.int64], means: npt.NDArray[np.float64]
) -> tuple[ConfusionDifference, ...]:
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


def images_of_one_cell(marked: Bools, opposite: Bools) -> list[Indices]:
    """For each cell, the images that `marked` marks for this cell and `opposite` marks for all other cells, ascending.

    Pass arrays (cells, N) of wrong and right predictions to find the images that only this cell gets wrong.
    """
    if len(marked) < 2:
        return [np.empty(0, dtype=np.int64) for _ in marked]
    only_this_cell = marked & (opposite.sum(axis=0) == len(marked) - 1)
    return [np.flatnonzero(row).astype(np.int64) for row in only_this_cell]
