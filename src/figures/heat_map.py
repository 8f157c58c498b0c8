"""Draws a heat map of the test accuracy over two swept keys."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.looks import INK, cell_settings
from src.figures.swept import has_number, key_numbers, swept_number_keys
from src.results.grid import averaged_keys, balanced_runs
from src.results.results import Results
from src.runs.identity import applies
from src.runs.naming import format_value, short_name
from src.wording import joined

MAX_LEVELS = 30  # with more values of a key, the squares are too small for their numbers
MAX_HORIZONTAL = 7  # if a value has more characters, the labels of the axis are tilted to fit


def draw_heat_map(results: Results) -> Figure | None:
    """Draw the mean test accuracy over two numeric keys, with a panel per norm, or over the norms and one numeric key.

    Each dataset has its own panels.  A square is the mean over the settings that were trained at all squares of the
    panel; a panel without such settings is left out.  None if the sweep varies fewer keys or has too many levels.
    """
    number_keys = swept_number_keys(results)
    # Sort by dataset, so the panels of a dataset are adjacent.
    runs = results.runs.iloc[pd.factorize(results.runs["dataset"])[0].argsort(kind="stable")]
    norms = [str(name) for name in results.runs["norm.name"].unique()]
    if not number_keys or (len(number_keys) == 1 and len(norms) == 1):
        return None
    column, row = number_keys[0], number_keys[1] if len(number_keys) > 1 else "norm.name"
    columns = [format_value(value) for value in key_numbers(runs, column)]
    rows = norms if row == "norm.name" else [format_value(value) for value in key_numbers(runs, row)]
    if max(len(rows), len(columns)) > MAX_LEVELS:
        return None
    other_keys = [path for path in results.varies if path not in (column, row, "norm.name")]
    grids, averaged_names = dict[str, pd.DataFrame](), dict[str, None]()
    has_row_key = {cell: applies(row, settings) for cell, settings in cell_settings(runs).items()}
    runs_in_grid = runs[has_number(runs, column) & runs["cell"].map(has_row_key)]
    for title, panel in runs_in_grid.groupby(_panel_titles(runs, by_norm=len(number_keys) > 1), sort=False):
        balanced = balanced_runs(panel, other_keys, (row, column))
        if len(balanced):
            grids[str(title)] = _accuracy_table(balanced, row, column).reindex(index=rows, columns=columns)
            keys = averaged_keys(balanced, other_keys, (row, column))
            averaged_names |= dict.fromkeys(short_name(path, results.varies) for path in keys)
    return _draw_panels(grids, row, column, list(averaged_names)) if grids else None


def _panel_titles(runs: pd.DataFrame, *, by_norm: bool) -> "pd.Series[str]":
    """The panel title for each run: the norm if `by_norm`, and the dataset if there are several datasets."""
    several = runs["dataset_name"].nunique() > 1
    names = zip(runs["norm.name"], runs["dataset_name"], strict=True)
    return pd.Series([" ".join([norm] * by_norm + [f"on {data}"] * several) for norm, data in names], runs.index)


def _accuracy_table(runs: pd.DataFrame, row: str, column: str) -> pd.DataFrame:
    """A table of mean test accuracy in percent, with the values of both keys as text; NaN where no run has finished."""
    cells = runs.groupby("cell", sort=False).agg({"test/accuracy": "mean", row: "first", column: "first"})
    values = cells[[row, column]].map(lambda value: float(value) if isinstance(value, int | float) else value)
    cells[[row, column]] = values.map(format_value)
    grid: pd.DataFrame = 100 * cells.pivot_table("test/accuracy", row, column)
    return grid


def _draw_panels(grids: dict[str, pd.DataFrame], row: str, column: str, averaged_names: Sequence[str]) -> Figure:
    rows, columns = next(iter(grids.values())).shape
    height, width = 1.4 + 0.42 * rows, 1.8 + 0.8 * columns
    panels_across = max(1, min(len(grids), int(12 // width)))
    panels_down = math.ceil(len(grids) / panels_across)
    figure = Figure(figsize=(max(panels_across * width, 4.4), panels_down * height + 0.3), layout="constrained")
    panels = figure.subplots(panels_down, panels_across, squeeze=False)
    accuracies = np.stack([grid.to_numpy() for grid in grids.values()])
    low, high = float(np.nanmin(accuracies)), float(np.nanmax(accuracies))
    for axes, (title, grid) in zip(panels.flat, grids.items(), strict=False):
        _draw_panel(axes, grid, low, high)
        axes.set_xlabel(column)
        axes.set_ylabel(row.removesuffix(".name"))
        axes.set_title(title, fontsize=11, loc="left")
    for axes in panels.flat[len(grids) :]:
        axes.set_axis_off()
    figure.suptitle(f"test accuracy, %, mean over {joined(['seeds', *averaged_names])}", fontsize=11)
    return figure


def _draw_panel(axes: Axes, grid: pd.DataFrame, low: float, high: float) -> None:
    axes.imshow(grid, cmap="cividis", vmin=low, vmax=max(high, low + 1e-9), aspect="auto")
    for (y, x), value in np.ndenumerate(grid.to_numpy()):
        dark = not np.isnan(value) and value < (low + high) / 2
        text = "none" if np.isnan(value) else f"{value:.2f}"
        axes.text(x, y, text, ha="center", va="center", fontsize=9, color="white" if dark else INK)
    tilt = max(map(len, grid.columns)) > MAX_HORIZONTAL
    axes.set_xticks(range(len(grid.columns)), grid.columns, rotation=45 * tilt, ha="right" if tilt else "center")
    axes.set_yticks(range(len(grid.index)), grid.index)
    axes.tick_params(length=0)
