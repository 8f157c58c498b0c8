"""Draws curves of loss and accuracy by epoch."""

import math
from collections.abc import Iterable, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from src.figures import looks
from src.figures.looks import Settings, best_cell_settings, style_axes
from src.pictures.rendering import default_settings
from src.results.results import Results

MAX_CELLS = 24  # more lines would be hard to distinguish
PANEL_TITLES = {
    "train/loss": "training loss, without penalty",
    "val/loss": "validation loss",
    "train/accuracy": "training accuracy, %",
    "val/accuracy": "validation accuracy, %",
}


def curve_statistics(results: Results, cells: Iterable[str], metric: str) -> dict[str, pd.DataFrame]:
    """For each cell, the `mean`, `min`, `max` and `count` of a metric over seeds by epoch; accuracies in percent."""
    epochs = results.epochs[results.epochs["cell"].isin(list(cells))]
    values = epochs[metric] * (1 if metric.endswith("loss") else 100)
    table = values.groupby([epochs["cell"], epochs["epoch"]], sort=False).agg(["mean", "min", "max", "count"])
    return {str(cell): curve.droplevel("cell") for cell, curve in table.groupby(level="cell", sort=False)}


def draw_curves(results: Results) -> Figure:
    """Loss and accuracy by epoch, training on the left and validation on the right, one line per cell.

    A line is the mean over the seeds, and a band goes from the lowest seed to the highest.  Markers and line styles
    distinguish the cells without colour.  The loss excludes penalties, so runs with different penalties are comparable.
    At most `MAX_CELLS` cells are drawn: those with the highest validation accuracy.

    In an SVG, the ids of a cell's line and band begin with `cell-K-`, where K is its position among the cells drawn.
    """
    cells = best_cell_settings(results.runs, MAX_CELLS)
    columns = looks.legend_column_count(cells)
    figure = Figure(figsize=(9.6, 6.4 + 0.24 * math.ceil(len(cells) / columns)), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True)
    for panel, (axes, (metric, title)) in enumerate(zip(panels.flat, PANEL_TITLES.items(), strict=True)):
        _draw_cell_lines(axes, results, cells, metric, panel=panel)
        style_axes(axes, title)
        if metric.endswith("loss") and all((line.get_ydata() > 0).all() for line in axes.lines):
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            narrow = high < 4 * low  # powers of ten and their multiples would label one or two values
            axes.yaxis.set_major_locator(MaxNLocator(5) if narrow else LogLocator(subs=(1, 2, 3, 5, 7)))
            axes.yaxis.set_major_formatter(ScalarFormatter())
            axes.yaxis.set_minor_formatter(NullFormatter())
    for axes in panels[1]:
        _label_epoch_axis(axes)
    last_epoch = max(line.get_xdata()[-1] for line in panels[0, 0].lines)
    panels[0, 0].set_xlim(*((0.85, last_epoch + 0.15) if last_epoch > 1 else (0.5, 1.5)))
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, handlelength=4.2)
    if title := looks.selection_title(len(cells), results.runs["cell"].nunique()):
        figure.suptitle(title, fontsize=10)
    return figure


@default_settings
def draw_metric(results: Results, metric: str) -> Figure:
    """A figure of one validation metric (`val/loss` or `val/accuracy`) by epoch, with a line for every cell."""
    cells = looks.cell_settings(results.runs)
    columns = looks.legend_column_count(cells)
    figure = Figure(figsize=(9.6, 5.4 + 0.24 * math.ceil(len(cells) / columns)), layout="constrained")
    axes = figure.subplots()
    _draw_cell_lines(axes, results, cells, metric)
    style_axes(axes, PANEL_TITLES[metric])
    if metric.endswith("loss"):
        axes.set_yscale("log")
    _label_epoch_axis(axes)
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, handlelength=4.2)
    return figure


def _draw_cell_lines(axes: Axes, results: Results, cells: Mapping[str, Settings], metric: str, panel: int = 0) -> None:
    """Draw a line for each of the cells, and a band for a cell with several seeds."""
    styles = looks.line_styles(cells.values())
    curves = curve_statistics(results, cells, metric)
    for k, ((cell, curve), style) in enumerate(zip(curves.items(), styles, strict=True)):
        epochs, n = curve.index.to_numpy(), curve["count"].max()
        style |= {"markevery": max(1, len(epochs) // 12), "gid": f"cell-{k}-line-{panel}"}
        label = looks.figure_label(cell) + (f" (n = {n})" if n > 1 else "")
        axes.plot(epochs, curve["mean"], label=label, linewidth=1.8, markersize=5, **style)
        if n > 1:
            band = axes.fill_between(epochs, curve["min"], curve["max"], color=style["color"], alpha=0.15, linewidth=0)
            band.set_gid(f"cell-{k}-band-{panel}")


def _label_epoch_axis(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
