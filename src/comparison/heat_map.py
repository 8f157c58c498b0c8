"""A heat map of two swept keys."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from src.comparison.looks import INK, norm_of
from src.comparison.records import Cell, Records
from src.comparison.swept import numbers_of, swept_numbers
from src.runs.naming import format_value

LEVELS = 30  # of a key; more have no room for their numbers
LONG = 7  # letters of a value that stands straight below its column
Grid = npt.NDArray[np.float64]
"""Mean test accuracy in percent (rows, columns), NaN where no cell has finished."""
Axis = tuple[str, list[str]]
"""A dotted key, and its values as they are typed."""


def heat_map(records: Records) -> Figure | None:
    """Mean test accuracy over two swept keys: two numbers in a panel for each norm, or the norms and one number.

    None where fewer are swept.  What else varies is averaged over.
    """
    numbers = swept_numbers(records)
    norms = list(dict.fromkeys(norm_of(cell) for cell in records.cells))
    if not numbers or (len(numbers) == 1 and len(norms) == 1):
        return None
    if len(numbers) == 1:
        groups = {"": list(records.cells)}
        rows, row_path = [*norms], "norm.name"
    else:
        groups = {norm: [cell for cell in records.cells if norm_of(cell) == norm] for norm in norms}
        rows, row_path = [format_value(value) for value in numbers_of(records.cells, numbers[1])], numbers[1]
    columns = [format_value(value) for value in numbers_of(records.cells, numbers[0])]
    if max(len(rows), len(columns)) > LEVELS:
        return None
    grids = {name: _grid(cells, (row_path, rows), (numbers[0], columns)) for name, cells in groups.items()}
    grids = {name: grid for name, grid in grids.items() if not np.isnan(grid).all()}
    return _draw_grids(grids, (row_path, rows), (numbers[0], columns)) if grids else None


def _grid(cells: Iterable[Cell], row: Axis, column: Axis) -> Grid:
    found: dict[tuple[int, int], list[float]] = {}
    for cell in cells:
        place = [_as_typed(cell.leaves.get(path)) for path in (row[0], column[0])]
        if place[0] in row[1] and place[1] in column[1]:
            found.setdefault((row[1].index(place[0]), column[1].index(place[1])), []).append(
                100 * float(np.mean(cell.values("test/accuracy")))
            )
    grid = np.full((len(row[1]), len(column[1])), np.nan)
    for where, values in found.items():
        grid[where] = np.mean(values)
    return grid


def _as_typed(value: Any) -> str:
    return format_value(float(value)) if isinstance(value, int | float) else format_value(value)


def _draw_grids(grids: dict[str, Grid], row: Axis, column: Axis) -> Figure:
    height = 1.4 + 0.42 * len(row[1])
    width = 1.8 + 0.8 * len(column[1])
    across = max(1, min(len(grids), int(12 // width)))
    down = math.ceil(len(grids) / across)
    figure = Figure(figsize=(max(across * width, 4.4), down * height + 0.3), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False)
    low, high = (float(limit([limit(grid[~np.isnan(grid)]) for grid in grids.values()])) for limit in (np.min, np.max))
    for axes, (name, grid) in zip(panels.flat, grids.items(), strict=False):
        axes.imshow(grid, cmap="cividis", vmin=low, vmax=max(high, low + 1e-9), aspect="auto")
        for (y, x), value in np.ndenumerate(grid):
            dark = not np.isnan(value) and value < (low + high) / 2
            words = "none" if np.isnan(value) else f"{value:.2f}"
            axes.text(x, y, words, ha="center", va="center", fontsize=9, color="white" if dark else INK)
        tilted = max(map(len, column[1])) > LONG
        axes.set_xticks(
            range(len(column[1])), column[1], rotation=45 if tilted else 0, ha="right" if tilted else "center"
        )
        axes.set_yticks(range(len(row[1])), row[1])
        axes.tick_params(length=0)
        axes.set_xlabel(column[0])
        axes.set_ylabel(row[0].removesuffix(".name"))
        axes.set_title(name, fontsize=11, loc="left")
    for axes in panels.flat[len(grids) :]:
        axes.set_axis_off()
    figure.suptitle("test accuracy, %, mean over seeds", fontsize=11)
    return figure
