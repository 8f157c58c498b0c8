"""All figures of a comparison, and a run's confusion matrix; the same bytes for the same numbers."""

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from src.comparison.curves import curves
from src.comparison.forest import forest
from src.comparison.heat_map import heat_map
from src.comparison.mistakes import confusion
from src.comparison.records import Records
from src.comparison.reliability import reliability
from src.comparison.swept import accuracy_by, swept_numbers, weights_by
from src.runs.predictions import Predictions

if TYPE_CHECKING:
    from src.comparison.atlas import Atlas
    from src.comparison.verdicts import Verdicts

__all__ = ["Drawing", "confusion_matrix", "curves", "drawings", "png", "svg"]

DPI = 120
COUNTS_UP_TO = 30  # classes; more leave no room for numbers in the cells
MISTAKES = LinearSegmentedColormap.from_list("mistakes", ["#fff4ec", "#f5a56b", "#b03a00"])
DIAGONAL = "#e9eef3"


def png(figure: Figure) -> bytes:
    """A figure as PNG, without date and version: equal figures give equal bytes."""
    return _drawn(figure, FigureCanvasAgg(figure).print_png, {"Software": None})


def svg(figure: Figure) -> bytes:
    """A figure as SVG, letters as outlines, without date and version: equal figures give equal bytes."""
    with mpl.rc_context({"svg.hashsalt": "normlab"}):
        return _drawn(figure, FigureCanvasSVG(figure).print_svg, {"Date": None, "Creator": None})


def _drawn(figure: Figure, canvas: Callable[..., None], metadata: Mapping[str, None]) -> bytes:
    """By the canvas itself: `savefig` would go through everything once more to find the layout, which drawing does."""
    figure.set_dpi(DPI)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a folder's name in a label; a box stands for the letter
        canvas(buffer, metadata=metadata)
    figure.set_layout_engine("none")  # the layout stands, and to find it anew for the other format takes a third of it
    return buffer.getvalue()


@dataclass(frozen=True)
class Drawing:
    """A figure of a comparison: its heading, and in words what it shows, for those who do not see it."""

    heading: str
    words: str
    figure: Figure

    @cached_property
    def png(self) -> bytes:
        """As PNG; drawn once."""
        return png(self.figure)

    @cached_property
    def svg(self) -> bytes:
        """As SVG; drawn once."""
        return svg(self.figure)


def drawings(records: Records, verdicts: "Verdicts", groups: "Sequence[Atlas]") -> dict[str, Drawing]:
    """Everything that these numbers can show, by file name without ending; nothing that they cannot.

    Always `curves`; `differences` where there are pairs; `accuracy_by_KEY` for each swept number, `weights_by_l1`,
    `heat_map` for two swept keys; `reliability` (with the dataset's digest where there are several).
    """
    cells = records.cells
    found = {
        "curves": Drawing(
            "Loss and accuracy by epoch",
            "Four panels, training and validation: the mean over seeds by epoch, a line a cell, a band from the lowest "
            "to the highest seed.",
            curves(cells),
        )
    }
    if verdicts.pairs:
        words = "Forest plot: a row a pair of cells, the difference of their test accuracies with its 95 % interval."
        found["differences"] = Drawing("Differences with their intervals", words, forest(cells, verdicts.pairs))
    for path in swept_numbers(records):
        words = (
            f"Test and validation accuracy against {path}, a line a norm, with a bar from the lowest to the highest."
        )
        found[f"accuracy_by_{path}".replace(".", "_")] = Drawing(
            f"Accuracy by {path}", words, accuracy_by(records, path)
        )
    if (heat := heat_map(records)) is not None:
        words = "Heat map of the mean test accuracy over two swept keys, with its numbers."
        found["heat_map"] = Drawing("Test accuracy over two swept keys", words, heat)
    if "reg.l1" in swept_numbers(records) and (weights := weights_by(records)) is not None:
        words = "The sum of the weights' magnitudes and the share of weights close to zero, against reg.l1."
        found["weights_by_l1"] = Drawing("Size and sparsity of the weights by reg.l1", words, weights)
    for group in groups:
        if group.calibration:
            suffix = f"_{group.source['digest'][:8]}" if len(groups) > 1 else ""
            words = "Reliability diagrams, a panel a cell: accuracy against confidence beside the diagonal."
            drawn = reliability(group.cells, group.calibration)
            found[f"reliability{suffix}"] = Drawing("Reliability diagrams", words, drawn)
    return found


def confusion_matrix(predictions: Predictions, classes: Sequence[str]) -> Figure:
    """How often each class (row) was taken for each other one (column).

    Only mistakes are coloured, each by its share of the most frequent one: beside a diagonal of thousands no error
    would be seen.
    """
    n = len(classes)
    counts = confusion(predictions, n)
    side = min(max(2.2 + 0.44 * n, 4.4), 16.0)  # inches
    figure = Figure(figsize=(side + 0.9, side))
    axes = figure.add_axes(_place(side, min(max(map(len, classes)), 30)))
    errors = np.ma.masked_where(np.eye(n, dtype=bool) | (counts == 0), counts)
    worst = max(int(errors.max()), 1) if errors.count() else 1
    axes.imshow(errors, cmap=MISTAKES, vmin=0, vmax=worst)
    axes.set_facecolor("white")
    _cells(axes, counts, worst)
    shown = range(0, n, math.ceil(n / 60))
    tilted = max(map(len, classes)) > 3
    axes.set_xticks(
        list(shown), [classes[k] for k in shown], rotation=45 if tilted else 0, ha="right" if tilted else "center"
    )
    axes.set_yticks(list(shown), [classes[k] for k in shown])
    axes.tick_params(length=0, labelsize=9 if n <= COUNTS_UP_TO else 6)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    _accuracies(axes, counts)
    wrong, total = int(counts.sum() - np.trace(counts)), int(counts.sum())
    axes.set_title(f"{wrong:,} of {total:,} test images misclassified", fontsize=11, pad=10)
    for spine in axes.spines.values():
        spine.set_color("#b5bcc4")
    return figure


def _place(side: float, letters: int) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of the matrix as shares of the figure, with room for class names so long.

    A layout that is found by measuring every word takes a third of the time of drawing, in every job.
    """
    wide, tilted = side + 0.9, letters > 3
    left, bottom = 0.5 + 0.08 * letters, 0.55 + (0.055 * letters if tilted else 0.0)  # inches, 9 points a letter
    size = min(wide - left - 0.85, side - bottom - 0.45)
    return left / wide, bottom / side, size / wide, size / side


def _cells(axes: Axes, counts: npt.NDArray[np.int64], worst: int) -> None:
    """The diagonal in pale grey, thin lines between the cells, and the numbers where there is room for them."""
    n = len(counts)
    for k in range(n):
        axes.add_patch(_square(k))
    between = np.arange(n - 1) + 0.5
    axes.hlines(between, -0.5, n - 0.5, color="#dde2e7", linewidth=0.6)
    axes.vlines(between, -0.5, n - 0.5, color="#dde2e7", linewidth=0.6)
    if n > COUNTS_UP_TO:
        return
    size = 9.5 if n <= 12 else 6.5
    for row, column in zip(*np.nonzero(counts), strict=True):
        count = int(counts[row, column])
        dark = row != column and count > 0.6 * worst
        axes.text(
            column,
            row,
            str(count),
            ha="center",
            va="center",
            fontsize=size if count < 10_000 else size - 2,
            color="white" if dark else "#5b6b7a" if row == column else "#222222",
            fontweight="normal" if row == column else "bold",
        )


def _square(k: int) -> Rectangle:
    return Rectangle((k - 0.5, k - 0.5), 1, 1, facecolor=DIAGONAL, edgecolor="none", zorder=0.5)


def _accuracies(axes: Axes, counts: npt.NDArray[np.int64]) -> None:
    """Each class's accuracy at the right end of its row."""
    if len(counts) > COUNTS_UP_TO:
        return
    totals = counts.sum(axis=1)
    for row, total in enumerate(totals):
        if total:
            share = f"{counts[row, row] / total:.1%}"
            axes.text(len(counts) - 0.35, row, share, ha="left", va="center", fontsize=8.5, color="#444444")
