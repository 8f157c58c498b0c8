"""Forest plot: the differences of cells in pairs, each with its interval."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.looks import INK, dress, marker, norm_of, plain
from src.pictures.colours import colour
from src.results.records import Cell
from src.verdict.points import hundredths

if TYPE_CHECKING:
    from src.verdict.pairs import Pair

ROWS = 20


def forest(cells: Sequence[Cell], pairs: "Sequence[Pair]") -> Figure:
    """A row a pair: the difference of their test accuracies in points, with its 95 % interval.

    Those against the cell of the highest test accuracy come first, then the largest differences, `ROWS` at most.
    Filled where the difference is decided after Holm's correction over all pairs, hollow where it is not: the interval
    is that of the pair alone and may leave out 0 all the same.
    """
    top = max(cells, key=lambda cell: float(np.mean(cell.values("test/accuracy"))))
    rows = _chosen(pairs, top.label)
    by_label = {cell.label: cell for cell in cells}
    figure = Figure(figsize=(9.6, 1.5 + 0.34 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, (first, _, pair, sign) in enumerate(rows):
        _row(axes, place, by_label[first], pair, sign)
    axes.axvline(0, color=INK, linewidth=1, zorder=0.9)
    axes.set_yticks(range(len(rows)), [f"{plain(first)}  vs  {plain(second)}" for first, second, _, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    numbers = axes.secondary_yaxis("right")
    numbers.set_yticks(range(len(rows)), [_written(pair, sign) for _, _, pair, sign in rows], fontfamily="monospace")
    numbers.tick_params(length=0, labelsize=8.5)
    numbers.spines["right"].set_visible(False)
    dress(axes, "")
    title = "difference of test accuracy, points, with its 95 % interval; filled: decided (Holm)"
    if any(pair.n == 1 for _, _, pair, _ in rows):
        title += "; one seed: networks, not methods"
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")  # over the names too, which may leave the axes little room
    axes.set_xlabel("← the first is worse        the first is better →")
    if len(rows) < len(pairs):
        figure.supxlabel(f"{len(rows)} of {len(pairs):,} pairs", fontsize=9)
    return figure


def _chosen(pairs: "Sequence[Pair]", top: str) -> "list[tuple[str, str, Pair, int]]":
    """First and second label, the pair and the sign of its difference, the best cell always second."""
    order = sorted(pairs, key=lambda pair: (top not in (pair.first, pair.second), -abs(pair.difference)))
    return [
        (pair.second, pair.first, pair, -1) if pair.first == top else (pair.first, pair.second, pair, 1)
        for pair in order[:ROWS]
    ]


def _row(axes: Axes, place: int, cell: Cell, pair: "Pair", sign: int) -> None:
    own = colour(cell.leaves)
    ends = (100 * pair.low, 100 * pair.high)
    axes.plot([sign * end for end in ends], [place, place], color=own, linewidth=2.2, solid_capstyle="butt")
    for end in ends:
        axes.plot([sign * end, sign * end], [place - 0.16, place + 0.16], color=own, linewidth=1.6)
    shape = marker(norm_of(cell))
    axes.plot(
        [100 * sign * pair.difference],
        [place],
        marker="o" if shape == "x" else shape,  # a cross cannot be filled
        markersize=7,
        color=own,
        markerfacecolor=own if pair.decided else "white",
        markeredgewidth=1.6,
    )


def _written(pair: "Pair", sign: int) -> str:
    ends = sorted((sign * pair.low, sign * pair.high))
    difference, low, high = (hundredths(value, sign=True) for value in (sign * pair.difference, *ends))
    return f"{difference} [{low}, {high}]"
