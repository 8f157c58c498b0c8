"""Loss and accuracy by epoch: the numbers, and the static figure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from src.figures.looks import best, dress, line_styles, look, marker, norm_of, plain
from src.pictures.colours import colour
from src.results.records import Cell

SHOWN = 24  # at most so many cells; more lines cannot be told apart
PANELS = (
    ("train/loss", "training loss, without penalty"),
    ("val/loss", "validation loss"),
    ("train/accuracy", "training accuracy, %"),
    ("val/accuracy", "validation accuracy, %"),
)


@dataclass(frozen=True)
class Curve:
    """A metric of one cell by epoch: mean, lowest and highest over its seeds (epochs,); accuracies in percent."""

    epochs: npt.NDArray[np.int64]
    mean: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    n: int


def curve(cell: Cell, metric: str) -> Curve:
    """A metric's course."""
    runs = [[record["metrics"][metric] for record in job.epochs] for job in cell.jobs]
    values = np.array(runs) * (1 if metric.endswith("loss") else 100)  # (seeds, epochs)
    epochs = np.arange(1, values.shape[1] + 1)
    return Curve(epochs, values.mean(axis=0), values.min(axis=0), values.max(axis=0), len(runs))


def curves(cells: Sequence[Cell]) -> Figure:
    """Loss and accuracy by epoch, training left and validation right, one line a cell.

    A line is the mean over seeds; where there are several, a band goes from the lowest to the highest.
    Hue and marker name the norm, shade and line style the rest, so that they can be told apart without colour.
    The loss is that of the data alone, which stays comparable across penalties.
    Of very many cells the best by validation accuracy are shown.
    """
    drawn = best(cells, SHOWN)
    rows = math.ceil(len(drawn) / legend_columns(drawn))
    figure = Figure(figsize=(9.6, 6.4 + 0.24 * rows), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True)
    styles = line_styles([norm_of(cell) for cell in drawn])
    longest = 1
    for axes, (metric, title) in zip(panels.flat, PANELS, strict=True):
        for cell, style in zip(drawn, styles, strict=True):
            found = curve(cell, metric)
            draw_curve(axes, cell, found, style)
            longest = max(longest, len(found.epochs))
        dress(axes, title)
        if metric.endswith("loss") and all((np.asarray(line.get_ydata()) > 0).all() for line in axes.lines):
            _logarithmic(axes)
    for axes in panels[1]:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panels[0, 0].set_xlim(0.85 if longest > 1 else 0.5, longest + (0.15 if longest > 1 else 0.5))
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=legend_columns(drawn), frameon=False, handlelength=4.2
    )
    if len(drawn) < len(cells):
        figure.suptitle(f"the {len(drawn)} cells of the highest validation accuracy, of {len(cells):,}", fontsize=10)
    return figure


def legend_columns(cells: Sequence[Cell]) -> int:
    """How many labels a legend below a figure has room for beside each other."""
    widest = max(len(plain(cell.label)) for cell in cells)
    return max(1, min(len(cells), 105 // (widest + 12)))


def draw_curve(axes: Axes, cell: Cell, found: Curve, style: int) -> None:
    """A line, and where there are several seeds its band; `style` is that of `look`."""
    own = colour(cell.leaves)
    count = f" (n = {found.n})" if found.n > 1 else ""
    axes.plot(
        found.epochs,
        found.mean,
        color=own,
        linewidth=1.8,
        marker=marker(norm_of(cell)),
        markersize=5,
        **look(style),
        markevery=max(1, len(found.epochs) // 12),
        label=plain(cell.label) + count,
    )
    if found.n > 1:
        axes.fill_between(found.epochs, found.low, found.high, color=own, alpha=0.15, linewidth=0)


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
