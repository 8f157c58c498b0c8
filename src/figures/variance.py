"""Draws how much each source of randomness contributes to the spread of the test accuracy."""

import textwrap
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.looks import INK, cell_settings, figure_label, style_axes
from src.pictures.colours import choose_colour
from src.results.variance import ALL, SOURCE_NAMES, method_names, variance_by_source
from src.wording import counted

MAX_METHODS = 6
LABEL_WIDTH = 28  # letters in a line
SD_HEADING, SHARE_HEADING = "points [95 % interval]", "share of all together [95 % interval]"
VARIANCE_CAPTION = (
    "Standard deviation of the test accuracy, with its 95 % interval, between runs of one method that differ in one"
    " source of randomness, with the other sources fixed, or in all of them.  A share is the variance divided by "
    "that of all sources together.  With ten runs it is uncertain by a factor of four, and it depends on the fixed "
    "seeds, so it can exceed 100 %.  Shares need not add up to 100 %.  An interval over `seed` covers the initial "
    "weights, the batch order, dropout and augmentation, at one fixed split of one dataset.  It does not cover the "
    "choice of the dataset, the split or the hyperparameters."
)


def draw_variance(runs: pd.DataFrame) -> Figure | None:
    """Draw a bar per source of randomness: the standard deviation of the test accuracy, with its 95 % interval.

    Each method has a panel with its bars; at most `MAX_METHODS` methods are drawn.  On the right are the numbers: the
    standard deviation in percentage points, and the share of the variance of all sources together.  None if no source
    varies alone in enough runs.
    """
    spreads = variance_by_source(runs)
    if spreads.empty:
        return None
    settings = cell_settings(runs.assign(cell=method_names(runs)))
    methods = list(spreads["method"].unique())
    panels_by_method = {method: spreads[spreads["method"] == method] for method in methods[:MAX_METHODS]}
    bar_counts = [len(method_rows) for method_rows in panels_by_method.values()]
    height = 1.1 + sum(0.42 * bar_count + 0.4 for bar_count in bar_counts)
    figure = Figure(figsize=(9.6, height), layout="constrained")
    panels = figure.subplots(len(panels_by_method), sharex=True, squeeze=False, height_ratios=bar_counts)[:, 0]
    for axes, (method, method_rows) in zip(panels, panels_by_method.items(), strict=True):
        _draw_bars(axes, method_rows, choose_colour(settings[method]))
        style_axes(axes, figure_label(method))
    headings = f"{SD_HEADING}  {SHARE_HEADING}" if spreads["share"].notna().any() else SD_HEADING
    heading = panels[0].annotate(headings, (1, 1), (4, 4), "axes fraction", "offset points", fontsize=8.5)
    heading.set_fontfamily("monospace")
    panels[-1].set_xlabel("standard deviation of the test accuracy in points, with 95 % interval")
    if len(panels_by_method) < len(methods):
        figure.supxlabel(f"{len(panels_by_method)} of {counted(len(methods), 'method')}", fontsize=9)
    return figure


def _draw_bars(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    positions, bars = range(len(rows)), rows.to_dict("records")
    for position, bar in zip(positions, bars, strict=True):
        axes.barh(position, bar["sd"], height=0.6, color=colour, alpha=1.0 if bar["source"] == ALL else 0.6)
    ends = [rows["sd"] - rows["sd_low"], rows["sd_high"] - rows["sd"]]
    axes.errorbar(rows["sd"], positions, xerr=ends, fmt="none", ecolor=INK, elinewidth=1.4, capsize=4)
    labels = [f"{SOURCE_NAMES[bar['source']]} ({counted(bar['runs'], 'run')})" for bar in bars]
    axes.set_yticks(positions, [textwrap.fill(label, LABEL_WIDTH) for label in labels])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.tick_params(axis="y", length=0)
    right_axis = axes.secondary_yaxis("right")
    right_axis.set_yticks(positions, [_numbers_text(bar) for bar in bars], fontfamily="monospace")
    right_axis.tick_params(length=0, labelsize=8.5)
    right_axis.spines["right"].set_visible(False)


def _numbers_text(row: Mapping[Hashable, Any]) -> str:
    """The standard deviation of a bar and its share of the variance, each with its interval."""
    if row["sd"] == 0:
        return "0: all runs are equal"
    text = f"{row['sd']:.3f} [{row['sd_low']:.3f}, {row['sd_high']:.3f}]"
    if pd.isna(row["share"]):
        return text
    share, low, high = (100 * row[name] for name in ("share", "share_low", "share_high"))
    return f"{text}  {share:.0f} % [{low:.0f}, {high:.0f}]"
