"""Draws reliability diagrams, which show how often the predictions of a cell are right at each confidence."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.errors.calibration import Calibration
from src.figures.looks import Settings, best_cell_settings, figure_label, marker, selection_title, style_axes
from src.pictures.colours import choose_colour

MAX_CELLS = 12  # panels in the figure
COLUMNS = 3  # panels side by side


def draw_reliability(runs: pd.DataFrame, calibration: Mapping[str, Calibration]) -> Figure:
    """Draw a panel per cell in `calibration`: accuracy against mean confidence, with a marker per bin.

    Bins with more images have larger markers.  The cell is overconfident below the diagonal.  Grey lines show the gaps
    between accuracy and confidence.  For one run, their mean, weighted by images, is the expected calibration error
    (Guo et al. 2017).  For several runs, the gaps come from all predictions, and the error is the mean over the runs.
    """
    calibrated = runs[runs["cell"].isin(list(calibration))]
    cells = best_cell_settings(calibrated, MAX_CELLS)
    columns = min(COLUMNS, len(cells))
    rows = math.ceil(len(cells) / columns)
    figure = Figure(figsize=(3.2 * columns + 0.3, 3.45 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (cell, settings) in zip(panels.flat, cells.items(), strict=False):
        _draw_panel(axes, cell, settings, calibration[cell])
    for axes in panels.flat[len(cells) :]:
        axes.set_axis_off()
    figure.supxlabel("confidence, %", fontsize=10)
    figure.supylabel("accuracy, %", fontsize=10)
    if title := selection_title(len(cells), calibrated["cell"].nunique()):
        figure.suptitle(title, fontsize=10)
    return figure


def _draw_panel(axes: Axes, cell: str, settings: Settings, bins: Calibration) -> None:
    cell_colour, filled = choose_colour(settings), bins.count > 0
    confidence, accuracy, count = 100 * bins.confidence[filled], 100 * bins.accuracy[filled], bins.count[filled]
    axes.plot([0, 100], [0, 100], color="#777777", linewidth=1, linestyle=(0, (4, 3)))
    low, high = np.minimum(confidence, accuracy), np.maximum(confidence, accuracy)
    axes.vlines(confidence, low, high, color="#b5bcc4", linewidth=3)
    axes.plot(confidence, accuracy, color=cell_colour, linewidth=1)
    size = 12 + 60 * np.log1p(count) / np.log1p(count.sum())
    shape = marker(settings["norm.name"]).replace("x", "o")  # a cross has no area to fill
    axes.scatter(confidence, accuracy, s=size, color=cell_colour, marker=shape, zorder=3)
    style_axes(axes, f"{figure_label(cell)}\ncalibration error {100 * bins.ece:.2f} points")
    axes.title.set_fontsize(9)
    axes.set_xlim(-3, 103)
    axes.set_ylim(-3, 103)
    axes.set_aspect("equal")
