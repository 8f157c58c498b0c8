"""Draws a forest plot: the differences between cells, pair by pair, each with its confidence interval."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.looks import INK, Settings, cell_settings, figure_label, filled_marker, style_axes
from src.pictures.colours import colour
from src.verdict.pairs import Pair
from src.verdict.points import percent_text

ROWS = 20


def forest(runs: pd.DataFrame, pairs: Sequence[Pair]) -> Figure:
    """One row per pair: the difference of their test accuracies in points, with its 95 % confidence interval.

    Pairs with the cell of the highest test accuracy come first, then the largest differences, `ROWS` at most.
    A marker is filled if the difference is statistically significant after Holm's correction over all pairs.  The
    interval is not corrected, so it can exclude 0 although the marker is hollow.
    """
    cells = cell_settings(runs)
    best = str(runs.groupby("cell", sort=False)["test/accuracy"].mean().idxmax())
    rows = _rows(pairs, best)
    figure = Figure(figsize=(9.6, 1.5 + 0.34 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, (first, _, pair, sign) in enumerate(rows):
        _draw_row(axes, place, cells[first], pair, sign)
    axes.axvline(0, color=INK, linewidth=1, zorder=0.9)
    names = [f"{figure_label(first)}  vs  {figure_label(second)}" for first, second, *_ in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    numbers = axes.secondary_yaxis("right")
    numbers.set_yticks(range(len(rows)), [_interval(pair, sign) for _, _, pair, sign in rows], fontfamily="monospace")
    numbers.tick_params(length=0, labelsize=8.5)
    numbers.spines["right"].set_visible(False)
    style_axes(axes, "")
    title = "difference of test accuracies in points, 95 % interval; filled: significant (Holm)"
    if any(pair.n == 1 for _, _, pair, _ in rows):
        title += "; one seed: compares networks, not methods"
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")  # of the figure: long names leave the axes little width
    axes.set_xlabel("← the first is worse        the first is better →")
    if len(rows) < len(pairs):
        figure.supxlabel(f"{len(rows)} of {len(pairs):,} pairs", fontsize=9)
    return figure


def _rows(pairs: Sequence[Pair], best: str) -> list[tuple[str, str, Pair, int]]:
    """Each row's first and second cell, its pair and the sign of the difference; the best cell is always second."""
    order = sorted(pairs, key=lambda pair: (best not in (pair.first, pair.second), -abs(pair.difference)))
    return [
        (pair.second, pair.first, pair, -1) if pair.first == best else (pair.first, pair.second, pair, 1)
        for pair in order[:ROWS]
    ]


def _draw_row(axes: Axes, place: int, settings: Settings, pair: Pair, sign: int) -> None:
    own, shape = colour(settings), filled_marker(settings["norm.name"])
    ends = [100 * sign * pair.low, 100 * sign * pair.high]
    axes.plot(ends, [place, place], color=own, linewidth=2.2, solid_capstyle="butt")
    for end in ends:
        axes.plot([end, end], [place - 0.16, place + 0.16], color=own, linewidth=1.6)
    (point,) = axes.plot([100 * sign * pair.difference], [place], color=own, marker=shape, markersize=7, mew=1.6)
    point.set_markerfacecolor(own if pair.decided else "white")


def _interval(pair: Pair, sign: int) -> str:
    ends = sorted((sign * pair.low, sign * pair.high))
    difference, low, high = (percent_text(value, sign=True) for value in (sign * pair.difference, *ends))
    return f"{difference} [{low}, {high}]"
