"""Draw the confusion matrix of a run."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from src.pictures.rendering import default_settings
from src.runs.predictions import Predictions, confusion_counts

MOST_NUMBERED_CLASSES = 30  # with more classes, the squares are too small for numbers
MOST_TILTED_CLASSES = 60  # with more classes, tilted names on the horizontal axis would overlap, so they are upright
MOST_NAMED_CLASSES = 120  # with more classes, the axes name only every second class, or fewer
MISTAKE_COLOURS = LinearSegmentedColormap.from_list("mistakes", ["#fff4ec", "#f5a56b", "#b03a00"])
DIAGONAL_COLOUR = "#e9eef3"


@default_settings
def draw_confusion_matrix(predictions: Predictions, classes: Sequence[str]) -> Figure:
    """Return a figure of how often the network predicts each class (column) for images of each class (row).

    Only mistakes are coloured: on a scale that includes the thousands on the diagonal, they would be invisible.
    """
    class_count = len(classes)
    counts = confusion_counts(predictions.label, predictions.predicted, class_count)
    side = min(max(2.2 + 0.44 * class_count, 4.4), 16.0)  # inches
    figure = Figure(figsize=(side + 0.9, side))
    axes = figure.add_axes(_axes_position(side, min(max(map(len, classes)), 30)))
    mistake_counts = np.ma.masked_where(np.eye(class_count, dtype=bool) | (counts == 0), counts)
    highest_count = max(int(mistake_counts.max()), 1) if mistake_counts.count() else 1
    axes.imshow(mistake_counts, cmap=MISTAKE_COLOURS, vmin=0, vmax=highest_count)
    axes.set_facecolor("white")
    for i in range(class_count):
        axes.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, facecolor=DIAGONAL_COLOUR, edgecolor="none", zorder=0.5))
    borders = np.arange(class_count - 1) + 0.5
    axes.hlines(borders, -0.5, class_count - 0.5, color="#dde2e7", linewidth=0.6)
    axes.vlines(borders, -0.5, class_count - 0.5, color="#dde2e7", linewidth=0.6)
    if class_count <= MOST_NUMBERED_CLASSES:
        _write_numbers(axes, counts, highest_count)
    labelled_classes = range(0, class_count, math.ceil(class_count / MOST_NAMED_CLASSES))
    tilted = max(map(len, classes)) > 3
    names = [classes[i] for i in labelled_classes]
    if tilted and class_count > MOST_TILTED_CLASSES:
        axes.set_xticks(labelled_classes, names, rotation=90)
    else:
        axes.set_xticks(labelled_classes, names, rotation=45 if tilted else 0, ha="right" if tilted else "center")
    axes.set_yticks(labelled_classes, names)
    axes.tick_params(length=0, labelsize=9 if class_count <= MOST_NUMBERED_CLASSES else 6)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    mistakes, image_count = int(counts.sum() - np.trace(counts)), int(counts.sum())
    axes.set_title(f"{mistakes:,} of {image_count:,} test images misclassified", fontsize=11, pad=10)
    for spine in axes.spines.values():
        spine.set_color("#b5bcc4")
    return figure


def _axes_position(side: float, letters: int) -> tuple[float, float, float, float]:
    """Return the matrix's left, bottom, width and height in the figure (0 to 1), for a side in inches.

    `letters` is the length of the longest class name.  matplotlib's own layout would make drawing 1.5 times as slow.
    """
    width, tilted = side + 0.9, letters > 3
    left, bottom = (0.5 + 0.08 * letters, 0.55 + (0.055 * letters if tilted else 0.0))  # inches, for 9-point letters
    size = min(width - left - 0.85, side - bottom - 0.45)
    return left / width, bottom / side, size / width, size / side


def _write_numbers(axes: Axes, counts: npt.NDArray[np.int64], highest_count: int) -> None:
    """Write each count into its square, and the accuracy of each class to the right of its row."""
    size = 9.5 if len(counts) <= 12 else 6.5
    for row, column in zip(*np.nonzero(counts), strict=True):
        count = int(counts[row, column])
        colour = "#5b6b7a" if row == column else "white" if count > 0.6 * highest_count else "#222222"
        weight, points = "normal" if row == column else "bold", size if count < 10_000 else size - 2
        axes.text(column, row, str(count), ha="center", va="center", fontsize=points, color=colour, fontweight=weight)
    for row, image_count in enumerate(counts.sum(axis=1)):
        if image_count:
            share = f"{counts[row, row] / image_count:.1%}"
            axes.text(len(counts) - 0.35, row, share, ha="left", va="center", fontsize=8.5, color="#444444")
