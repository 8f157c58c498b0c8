"""Reliability diagrams: whether a cell is right as often as it is sure."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.errors.calibration import Calibration
from src.figures.looks import best, dress, marker, norm_of, plain
from src.pictures.colours import colour
from src.results.records import Cell

SHOWN = 12  # at most so many cells
COLUMNS = 3


def reliability(cells: Sequence[Cell], calibration: Mapping[str, Calibration]) -> Figure:
    """A panel a cell: accuracy against mean confidence, a point a bin, larger for more images.

    On the diagonal the cell is right as often as it is sure, below it overconfident; the grey stems are the gaps whose
    mean, weighted by images, is a single run's expected calibration error (Guo et al. 2017).  With several seeds the
    stems are those of all runs together, and the error told is the mean of the runs' own.
    """
    known = [cell for cell in cells if cell.label in calibration]
    drawn = best(known, SHOWN)
    columns = min(COLUMNS, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    figure = Figure(figsize=(3.2 * columns + 0.3, 3.3 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, cell in zip(panels.flat, drawn, strict=False):
        _panel(axes, cell, calibration[cell.label])
    for axes in panels.flat[len(drawn) :]:
        axes.set_axis_off()
    figure.supxlabel("confidence, %", fontsize=10)
    figure.supylabel("accuracy, %", fontsize=10)
    if len(drawn) < len(known):
        figure.suptitle(f"the {len(drawn)} cells of the highest validation accuracy, of {len(known):,}", fontsize=10)
    return figure


def _panel(axes: Axes, cell: Cell, found: Calibration) -> None:
    full = found.count > 0
    sure, right, count = 100 * found.confidence[full], 100 * found.accuracy[full], found.count[full]
    axes.plot([0, 100], [0, 100], color="#777777", linewidth=1, linestyle=(0, (4, 3)))
    axes.vlines(sure, np.minimum(sure, right), np.maximum(sure, right), color="#b5bcc4", linewidth=3)
    axes.plot(sure, right, color=colour(cell.leaves), linewidth=1)
    shape = marker(norm_of(cell))
    axes.scatter(
        sure,
        right,
        s=12 + 60 * np.log1p(count) / np.log1p(count.sum()),
        color=colour(cell.leaves),
        marker="o" if shape == "x" else shape,
        zorder=3,
    )
    dress(axes, f"{plain(cell.label)}\ncalibration error {100 * found.ece:.2f} points")
    axes.title.set_fontsize(9)
    axes.set_xlim(-3, 103)
    axes.set_ylim(-3, 103)
    axes.set_aspect("equal")
