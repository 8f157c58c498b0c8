"""Draws a forest plot: the differences between the levels of each factor, with their simultaneous intervals."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.looks import GRID_COLOUR, INK, figure_label, style_axes
from src.verdict.contrast import Contrast

MAX_ROWS = 24  # with more differences, the plot shows a selection
BETTER_COLOUR, EQUAL_COLOUR = "#0072b2", "#8a949e"


def draw_forest_plot(contrasts: Sequence[Contrast]) -> Figure | None:
    """Draw a row per difference, in points, grouped by factor; None without intervals, which need several seeds.

    The level with the higher mean is first, so no difference is negative.  At most `MAX_ROWS` differences are drawn:
    significant ones first, then the largest.  A shaded band shows the differences that count as equal.
    """
    drawable = [contrast.better_first for contrast in contrasts if contrast.high is not None]
    if not drawable:
        return None
    selected = sorted(drawable, key=lambda contrast: (contrast.outcome != "better", -contrast.difference))[:MAX_ROWS]
    shown = [contrast for contrast in drawable if contrast in selected]
    figure = Figure(figsize=(9.6, 1.6 + 0.34 * len(shown)), layout="constrained")
    axes = figure.subplots()
    measure = shown[0].measure
    margin = measure.scale * shown[0].equal_within
    axes.axvspan(-margin, margin, color=GRID_COLOUR, linewidth=0, zorder=0.1)
    axes.axvline(0, color=INK, linewidth=1, zorder=0.9)
    for row, contrast in enumerate(shown):
        _draw_row(axes, row, contrast)
        if row and contrast.factor != shown[row - 1].factor:
            axes.axhline(row - 0.5, color=INK, linewidth=0.6)
    axes.set_yticks(range(len(shown)), [figure_label(contrast.question) for contrast in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    right_axis = axes.secondary_yaxis("right")
    results = [f"{contrast.size_text.replace(measure.unit, '')}  {contrast.outcome}" for contrast in shown]
    right_axis.set_yticks(range(len(shown)), results)
    right_axis.tick_params(length=0, labelsize=8.5)
    right_axis.spines["right"].set_visible(False)
    style_axes(axes, "")
    metric_text = "test accuracies in points" if measure.in_points else measure.name
    title = f"difference of {metric_text}, simultaneous intervals; filled: better, grey: equal, hollow: open"
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")  # not of the axes, which long names narrow
    equal_text = f"   (shaded: equal within {measure.difference_text(shown[0].equal_within)})" if margin else ""
    axes.set_xlabel(f"the first is better →{equal_text}")
    if len(shown) < len(drawable):
        figure.supxlabel(f"{len(shown)} of {len(drawable):,} differences", fontsize=9)
    return figure


def _draw_row(axes: Axes, row: int, contrast: Contrast) -> None:
    line_colour = EQUAL_COLOUR if contrast.outcome == "equal" else BETTER_COLOUR
    scale = contrast.measure.scale
    ends = [scale * (contrast.low or 0.0), scale * (contrast.high or 0.0)]
    axes.plot(ends, [row, row], color=line_colour, linewidth=2.2, solid_capstyle="butt")
    for end in ends:
        axes.plot([end, end], [row - 0.16, row + 0.16], color=line_colour, linewidth=1.6)
    (point,) = axes.plot([scale * contrast.difference], [row], color=line_colour, marker="o", markersize=7, mew=1.6)
    point.set_markerfacecolor("white" if contrast.outcome == "open" else line_colour)
