"""Curves and confusion matrices; legible without colour, and the same bytes for the same numbers."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from src.comparison.colours import HUES, colour
from src.comparison.mistakes import confusion
from src.comparison.records import Cell
from src.runs.predictions import Predictions

DPI = 120
COUNTS_UP_TO = 30  # classes; more leave no room for numbers in the cells
MARKERS = dict(zip(HUES, "xosD^v<>pP", strict=False))  # one a norm, as the hue
LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.2)),
    (0, (6, 2, 1, 2)),
    (0, (9, 3)),
    (0, (4, 1.5, 1, 1.5, 1, 1.5)),
)
MISTAKES = LinearSegmentedColormap.from_list("mistakes", ["#fff4ec", "#f5a56b", "#b03a00"])
DIAGONAL = "#e9eef3"
PANELS = (
    ("train/loss", "training loss, without penalty"),
    ("val/loss", "validation loss"),
    ("train/accuracy", "training accuracy, %"),
    ("val/accuracy", "validation accuracy, %"),
)


def png(figure: Figure) -> bytes:
    """A figure as PNG, without date and version: equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def confusion_matrix(predictions: Predictions, classes: Sequence[str]) -> Figure:
    """How often each class (row) was taken for each other one (column).

    Only mistakes are coloured, each by its share of the most frequent one: beside a diagonal of thousands no error
    would be seen.
    """
    n = len(classes)
    counts = confusion(predictions, n)
    side = min(max(2.2 + 0.44 * n, 4.4), 16.0)  # inches
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    axes = figure.subplots()
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


def _cells(axes: Axes, counts: npt.NDArray[np.int64], worst: int) -> None:
    """The diagonal in pale grey, thin lines between the cells, and the numbers where there is room for them."""
    n = len(counts)
    for k in range(n):
        axes.add_patch(_square(k))
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dde2e7", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
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


def curves(cells: Sequence[Cell]) -> Figure:
    """Loss and accuracy by epoch, training left and validation right, one line a cell.

    A line is the mean over seeds; where there are several, a band goes from the lowest to the highest.
    Hue and marker name the norm, shade and line style the rest, so that they can be told apart without colour.
    The loss is that of the data alone, which stays comparable across penalties.
    """
    rows = math.ceil(len(cells) / _legend_columns(cells))
    figure = Figure(figsize=(9.6, 6.4 + 0.24 * rows), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True)
    styles = _line_styles(cells)
    for axes, (metric, title) in zip(panels.flat, PANELS, strict=True):
        for cell, line in zip(cells, styles, strict=True):
            _curve(axes, cell, metric, line)
        _dress(axes, title, is_loss=metric.endswith("loss"))
    for axes in panels[1]:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    longest = max(len(job.epochs) for cell in cells for job in cell.jobs)
    panels[0, 0].set_xlim(0.85 if longest > 1 else 0.5, longest + (0.15 if longest > 1 else 0.5))
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=_legend_columns(cells), frameon=False, handlelength=4.2
    )
    return figure


def _legend_columns(cells: Sequence[Cell]) -> int:
    widest = max(len(cell.label) for cell in cells)
    return max(1, min(len(cells), 105 // (widest + 12)))


def _line_styles(cells: Sequence[Cell]) -> list[Any]:
    """Solid for the first cell of each norm, then ever more broken."""
    seen: dict[str, int] = {}
    styles = []
    for cell in cells:
        norm = str(cell.leaves["norm.name"])
        styles.append(LINES[seen.get(norm, 0) % len(LINES)])
        seen[norm] = seen.get(norm, 0) + 1
    return styles


def _curve(axes: Axes, cell: Cell, metric: str, line: Any) -> None:
    runs = [[record["metrics"][metric] for record in job.epochs] for job in cell.jobs]
    length = min(map(len, runs))
    values = np.array([run[:length] for run in runs]) * (1 if metric.endswith("loss") else 100)  # (seeds, epochs)
    epochs = np.arange(1, length + 1)
    own = colour(cell.leaves)
    count = f" (n = {len(runs)})" if len(runs) > 1 else ""
    axes.plot(
        epochs,
        values.mean(axis=0),
        color=own,
        linestyle=line,
        linewidth=1.8,
        marker=MARKERS.get(str(cell.leaves["norm.name"]), "*"),
        markersize=5,
        markevery=max(1, length // 12),
        label=cell.label + count,
    )
    if len(runs) > 1:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=own, alpha=0.15, linewidth=0)


def _dress(axes: Axes, title: str, *, is_loss: bool) -> None:
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color="#e4e7ea", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if is_loss and all((np.asarray(line.get_ydata()) > 0).all() for line in axes.lines):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
