"""Draws a forest plot: the difference of the test accuracies of each pair of cells, with its confidence interval."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.looks import INK, Settings, cell_settings, figure_label, filled_marker, style_axes
from src.pictures.colours import choose_colour
from src.verdict.pairs import Pair
from src.verdict.points import percent_text

MAX_ROWS = 20  # with more pairs, the plot shows a selection


def draw_forest_plot(runs: pd.DataFrame, pairs: Sequence[Pair]) -> Figure:
    """Draw a row per pair of cells: the difference of test accuracies in points, with its 95 % confidence interval.

    At most `MAX_ROWS` pairs are drawn: pairs with the most accurate cell first, then the largest differences.
    A marker is filled if the difference is statistically significant after Holm's correction over all pairs.  The
    confidence interval is not corrected, so it can exclude 0 although the marker is hollow.
    """
    cells = cell_settings(runs)
    best_cell = str(runs.groupby("cell", sort=False)["test/accuracy"].mean().idxmax())
    rows = _choose_rows(pairs, best_cell)
    figure = Figure(figsize=(9.6, 1.5 + 0.34 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for row, (first, _, pair, sign) in enumerate(rows):
        _draw_row(axes, row, cells[first], pair, sign)
    axes.axvline(0, color=INK, linewidth=1, zorder=0.9)
    names = [f"{figure_label(first)}  vs  {figure_label(second)}" for first, second, *_ in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axis = axes.secondary_yaxis("right")
    axis.set_yticks(range(len(rows)), [_interval_text(pair, sign) for _, _, pair, sign in rows], fontfamily="monospace")
    axis.tick_params(length=0, labelsize=8.5)
    axis.spines["right"].set_visible(False)
    style_axes(axes, "")
    title = "difference of test accuracies in points, 95 % interval; filled: significant (Holm)"
    if any(pair.n == 1 for _, _, pair, _ in rows):
        title += "; one seed: compares networks, not methods"
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")  # long names narrow the axes, which would cut their title
    axes.set_xlabel("← the first is worse        the first is better →")
    if len(rows) < len(pairs):
        figure.supxlabel(f"{len(rows)} of {len(pairs):,} pairs", fontsize=9)
    return figure


def _choose_rows(pairs: Sequence[Pair], best_cell: str) -> list[tuple[str, str, Pair, int]]:
    """The first cell, second cell, pair and sign of the difference of each row.  The best cell is always second."""
    sorted_pairs = sorted(pairs, key=lambda pair: (best_cell not in (pair.first, pair.second), -abs(pair.difference)))
    return [
        (pair.second, pair.first, pair, -1) if pair.first == best_cell else (pair.first, pair.second, pair, 1)
        for pair in sorted_pairs[:MAX_ROWS]
    ]


def _draw_row(axes: Axes, row: int, settings: Settings, pair: Pair, sign: int) -> None:
    cell_colour, marker = choose_colour(settings), filled_marker(settings["norm.name"])
    ends = [100 * sign * pair.low, 100 * sign * pair.high]
    axes.plot(ends, [row, row], color=cell_colour, linewidth=2.2, solid_capstyle="butt")
    for end in ends:
        axes.plot([end, end], [row - 0.16, row + 0.16], color=cell_colour, linewidth=1.6)
    (point,) = axes.plot([100 * sign * pair.difference], [row], color=cell_colour, marker=marker, markersize=7, mew=1.6)
    point.set_markerfacecolor(cell_colour if pair.decided else "white")


def _interval_text(pair: Pair, sign: int) -> str:
    ends = sorted((sign * pair.low, sign * pair.high))
    difference, low, high = (percent_text(value, sign=True) for value in (sign * pair.difference, *ends))
    return f"{difference} [{low}, {high}]"
