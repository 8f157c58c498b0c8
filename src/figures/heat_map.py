"""Draws a heat map of the test accuracy over two swept keys."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.looks import INK, cell_settings
from src.figures.swept import has_numeric_value, numeric_values, swept_numeric_keys
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
    numeric_keys = swept_numeric_keys(results)
    # Sort by dataset, so the panels of a dataset are adjacent.
    runs = results.runs.iloc[pd.factorize(results.runs["dataset"])[0].argsort(kind="stable")]
    norms = [str(name) for name in results.runs["norm.name"].unique()]
    if not numeric_keys or (len(numeric_keys) == 1 and len(norms) == 1):
        return None
    column_key, row_key = numeric_keys[0], numeric_keys[1] if len(numeric_keys) > 1 else "norm.name"
    columns = [format_value(value) for value in numeric_values(runs, column_key)]
    rows = norms if row_key == "norm.name" else [format_value(value) for value in numeric_values(runs, row_key)]
    if max(len(rows), len(columns)) > MAX_LEVELS:
        return None
    other_keys = [path for path in results.varies if path not in (column_key, row_key, "norm.name")]
    tables, averaged_names = dict[str, pd.DataFrame](), dict[str, None]()
    has_row_key = {cell: applies(row_key, settings) for cell, settings in cell_settings(runs).items()}
    runs_in_grid = runs[has_numeric_value(runs, column_key) & runs["cell"].map(has_row_key)]
    for title, panel_runs in runs_in_grid.groupby(_panel_titles(runs, by_norm=len(numeric_keys) > 1), sort=False):
        balanced = balanced_runs(panel_runs, other_keys, (row_key, column_key))
        if len(balanced):
            tables[str(title)] = _accuracy_table(balanced, row_key, column_key).reindex(index=rows, columns=columns)
            keys = averaged_keys(balanced, other_keys, (row_key, column_key))
            averaged_names |= dict.fromkeys(short_name(path, results.varies) for path in keys)
    return _draw_panels(tables, row_key, column_key, list(averaged_names)) if tables else None


def _panel_titles(runs: pd.DataFrame, *, by_norm: bool) -> "pd.Series[str]":
    """The panel title for each run: the norm if `by_norm`, and the dataset if there are several datasets."""
    show_data = runs["dataset_name"].nunique() > 1
    names = zip(runs["norm.name"], runs["dataset_name"], strict=True)
    return pd.Series([" ".join([norm] * by_norm + [f"on {data}"] * show_data) for norm, data in names], runs.index)


def _accuracy_table(runs: pd.DataFrame, row_key: str, column_key: str) -> pd.DataFrame:
    """A table of mean test accuracy in percent, with the values of both keys as text; NaN where no run has finished."""
    cells = runs.groupby("cell", sort=False).agg({"test/accuracy": "mean", row_key: "first", column_key: "first"})
    values = cells[[row_key, column_key]].map(lambda value: float(value) if isinstance(value, int | float) else value)
    cells[[row_key, column_key]] = values.map(format_value)
    table: pd.DataFrame = 100 * cells.pivot_table("test/accuracy", row_key, column_key)
    return table


def _draw_panels(tables: dict[str, pd.DataFrame], row_key: str, column_key: str, averaged: Sequence[str]) -> Figure:
    rows, columns = next(iter(tables.values())).shape
    height, width = 1.4 + 0.42 * rows, 1.8 + 0.8 * columns
    panels_across = max(1, min(len(tables), int(12 // width)))
    panels_down = math.ceil(len(tables) / panels_across)
    figure = Figure(figsize=(max(panels_across * width, 4.4), panels_down * height + 0.3), layout="constrained")
    panels = figure.subplots(panels_down, panels_across, squeeze=False)
    accuracies = np.stack([table.to_numpy() for table in tables.values()])
    lowest, highest = float(np.nanmin(accuracies)), float(np.nanmax(accuracies))
    for axes, (title, table) in zip(panels.flat, tables.items(), strict=False):
        _draw_panel(axes, table, lowest, highest)
        axes.set_xlabel(column_key)
        axes.set_ylabel(row_key.removesuffix(".name"))
        axes.set_title(title, fontsize=11, loc="left")
    for axes in panels.flat[len(tables) :]:
        axes.set_axis_off()
    figure.suptitle(f"test accuracy, %, mean over {joined(['seeds', *averaged])}", fontsize=11)
    return figure


def _draw_panel(axes: Axes, table: pd.DataFrame, lowest: float, highest: float) -> None:
    axes.imshow(table, cmap="cividis", vmin=lowest, vmax=max(highest, lowest + 1e-9), aspect="auto")
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        is_dark = not np.isnan(value) and value < (lowest + highest) / 2
        text = "none" if np.isnan(value) else f"{value:.2f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if is_dark else INK)
    tilted = max(map(len, table.columns)) > MAX_HORIZONTAL
    axes.set_xticks(range(len(table.columns)), table.columns, rotation=45 * tilted, ha="right" if tilted else "center")
    axes.set_yticks(range(len(table.index)), table.index)
    axes.tick_params(length=0)
