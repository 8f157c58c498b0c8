"""Draws accuracy against a swept numeric key, and the size and sparsity of the weights against `reg.l1`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.config import SOURCES
from src.figures.looks import INK, cell_settings, figure_label, legend_column_count, line_styles, style_axes
from src.results.grid import balanced_runs
from src.results.results import Results
from src.results.weights import NEAR_ZERO, weight_frame
from src.runs.naming import format_value, job_name

MAX_LINES = 8  # with more lines, each norm gets a single line
MAX_TICKS = 12  # with more values, some of them get no label
# Keys that always have a logarithmic axis; other keys have one if their values span a factor of 20.
LOG_KEYS = ("reg.l1", "reg.l2", "reg.weight_decay", "reg.sam", "reg.clip", "optimizer.lr", "optimizer.eps", "norm.eps")
Measures = Mapping[str, "pd.Series[float]"]
"""The values to draw in each panel: the panel's title with its unit, and a value per run, by the run's name."""


def swept_numeric_keys(results: Results) -> list[str]:
    """The swept keys that have at least two different numbers as values; the seeds in `SOURCES` do not count."""
    varies = (path for path in results.varies if path not in SOURCES)
    return [path for path in varies if len(numeric_values(results.runs, path)) > 1]


def numeric_values(runs: pd.DataFrame, path: str) -> list[float]:
    """The different numbers among the values of a key, ascending."""
    return sorted({float(value) for value in runs.loc[has_numeric_value(runs, path), path]})


def has_numeric_value(runs: pd.DataFrame, path: str) -> "pd.Series[bool]":
    """Whether each run has a number as its value of a key."""
    return runs[path].map(lambda value: isinstance(value, int | float) and not isinstance(value, bool)).astype(bool)


def draw_accuracy_by_key(results: Results, path: str) -> Figure:
    """Draw test and validation accuracy against a swept numeric key, a line per norm and other swept settings."""
    runs = results.runs.set_index("run")
    test, validation = 100 * runs["test/accuracy"], 100 * runs["val/accuracy"]
    return _draw_measures_by_key(results, path, {"test accuracy, %": test, "validation accuracy, %": validation})


def draw_weights_by_l1(results: Results) -> Figure | None:
    """Draw size and sparsity of the trained weights against `reg.l1`; None if no weights can be read."""
    weights = weight_frame(results.runs).set_index("run")
    if not len(weights):
        return None
    measures = {
        "sum of |weight|, after training": weights["magnitude"],
        f"|weight| < {NEAR_ZERO:g}, % of all": 100 * weights["sparsity"],
    }
    return _draw_measures_by_key(results, "reg.l1", measures)


def _draw_measures_by_key(results: Results, path: str, measures: Measures) -> Figure:
    lines = _runs_by_line(results, path)
    figure = Figure(figsize=(9.6, 4.2 + 0.22 * math.ceil(len(lines) / 3)), layout="constrained")
    panels = figure.subplots(1, len(measures))
    positions = _axis_positions(numeric_values(pd.concat(lines.values()), path), path)
    width = max(positions.values()) - min(positions.values())
    # A line looks like its first run.
    styles = line_styles(line.iloc[0].drop(path).to_dict() for line in lines.values())
    for axes, (title, values) in zip(panels, measures.items(), strict=True):
        for k, (name, line) in enumerate(lines.items()):
            # A small horizontal offset keeps overlapping lines apart.
            offset = (k - (len(lines) - 1) / 2) * min(0.008, 0.06 / len(lines)) * width
            measured_runs = line[line["run"].isin(values.index)]
            by_value = measured_runs["run"].map(values).groupby(measured_runs[path].astype(float)).agg(list)
            points = {positions[value] + offset: runs for value, runs in by_value.items()}
            _draw_line(axes, figure_label(name), points, styles[k])
        style_axes(axes, title)
        _label_value_axis(axes, positions)
        axes.set_xlabel(path)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = min(3, legend_column_count(lines))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, handlelength=4)
    if any(line["cell"].nunique() > line[path].nunique() for line in lines.values()):
        figure.suptitle("mean over the other settings; bars go from the lowest run to the highest", fontsize=10)
    return figure


def _runs_by_line(results: Results, path: str) -> dict[str, pd.DataFrame]:
    """Return the runs of each line, by the line's name.  Each dataset, norm and other swept setting has a line.

    If there would be more than `MAX_LINES` lines, all runs of a norm share a line.  A line keeps only the settings
    that were trained at all values of the key, or all settings if no such setting exists, as in a random search.
    """
    keys = [key for key in results.varies if key != path]
    runs = results.runs[has_numeric_value(results.runs, path)]
    names = _line_names(runs, keys)
    if names.nunique() > MAX_LINES:
        names = _line_names(runs, ["norm.name"])
    lines = {str(name): (balanced_runs(line, keys, [path]), line) for name, line in runs.groupby(names, sort=False)}
    return {name: balanced if len(balanced) else line for name, (balanced, line) in lines.items()}


def _line_names(runs: pd.DataFrame, shown_keys: Sequence[str]) -> "pd.Series[str]":
    """The line name for each run: its settings, and the first digits of its dataset if there are several datasets."""
    show_data = runs["dataset"].nunique() > 1
    names = {
        cell: job_name(settings, shown_keys, seed=False) + f" {settings['dataset'][:6]}" * show_data
        for cell, settings in cell_settings(runs).items()
    }
    return runs["cell"].map(names)


def _axis_positions(values: Sequence[float], path: str) -> dict[float, float]:
    """The axis position of each value: the value, or its logarithm for wide ranges, with zero on the far left."""
    positive = [value for value in values if value > 0]
    is_log = bool(positive) and values[0] >= 0 and (path in LOG_KEYS or positive[-1] >= 20 * positive[0])
    if not is_log:
        return dict(zip(values, values, strict=True))
    logarithms = {value: math.log10(value) for value in positive}
    zero_gap = max(0.6, 0.15 * (logarithms[positive[-1]] - logarithms[positive[0]]))
    return ({0.0: logarithms[positive[0]] - zero_gap} if values[0] == 0 else {}) | logarithms


def _draw_line(axes: Axes, name: str, points: Mapping[float, list[float]], style: Mapping[str, Any]) -> None:
    """Draw a line of means, with a bar from the lowest run to the highest and a dot for each run.

    `points` holds the values of the runs by their position on the axis.
    """
    if not points:
        return
    means = np.array([np.mean(values) for values in points.values()])
    below_mean = means - [min(values) for values in points.values()]
    above_mean = [max(values) for values in points.values()] - means
    bars = np.maximum([below_mean, above_mean], 0)  # rounding can make the mean of equal values differ from them
    axes.errorbar(list(points), means, yerr=bars, label=name, markersize=6, capsize=3, linewidth=1.8, **style)
    for position, values in points.items():
        if len(values) > 1:
            axes.plot([position] * len(values), values, ".", color=style["color"], markersize=4, alpha=0.6)


def _label_value_axis(axes: Axes, positions: Mapping[float, float]) -> None:
    """Label the axis with the swept values, and mark the gap between zero and the logarithms."""
    values = list(positions)
    labelled_values = values[:: math.ceil(len(values) / MAX_TICKS)]
    axes.set_xticks([positions[value] for value in labelled_values], [format_value(value) for value in labelled_values])
    axes.tick_params(axis="x", labelsize=9, rotation=0 if len(labelled_values) <= 6 else 45)
    axes.margins(x=0.08)
    if values[0] == 0 and len(values) > 1 and positions[0.0] != 0:
        middle = (positions[0.0] + positions[values[1]]) / 2
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        gap = axes.text(middle, 0, "//", color=INK, fontsize=9, zorder=5, ha="center", va="center", bbox=box)
        gap.set_transform(axes.get_xaxis_transform())
