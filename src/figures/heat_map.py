"""A heat map of two swept keys."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from src.figures.looks import INK, norm_of
from src.figures.swept import numbers_of, swept_numbers
from src.results.records import Cell, Records, averaged, balanced, by_dataset
from src.runs.identity import applies
from src.runs.naming import format_value, short_name
from src.wording import joined

LEVELS = 30  # of a key; more have no room for their numbers
LONG = 7  # letters of a value that stands straight below its column
Grid = npt.NDArray[np.float64]
"""Mean test accuracy in percent (rows, columns), NaN where no cell has finished."""
Axis = tuple[str, list[str]]
"""A dotted key, and its values as they are typed."""


def heat_map(records: Records) -> Figure | None:
    """Mean test accuracy over two swept keys: two numbers in a panel for each norm, or the norms and one number.

    None where fewer are swept.  What else varies is averaged over, each dataset by itself, as far as it was trained at
    all places of a panel (`balanced`); a panel where nothing was is left out.
    """
    numbers = swept_numbers(records)
    norms = list(dict.fromkeys(norm_of(cell) for cell in records.cells))
    if not numbers or (len(numbers) == 1 and len(norms) == 1):
        return None
    if len(numbers) == 1:
        rows, row_path = [*norms], "norm.name"
    else:
        rows, row_path = [format_value(value) for value in numbers_of(records.cells, numbers[1])], numbers[1]
    columns = [format_value(value) for value in numbers_of(records.cells, numbers[0])]
    if max(len(rows), len(columns)) > LEVELS:
        return None
    others = [path for path in records.varies if path not in (numbers[0], row_path, "norm.name")]
    grids, over = dict[str, Grid](), dict[str, None]()
    for name, cells in _panels(records.cells, by_norm=len(numbers) > 1).items():
        placed = [cell for cell in cells if numbers_of([cell], numbers[0]) and applies(row_path, cell.leaves)]
        if even := balanced(placed, others, (row_path, numbers[0])):
            grids[name] = _grid(even, (row_path, rows), (numbers[0], columns))
            found = averaged(even, others, (row_path, numbers[0]))
            over |= dict.fromkeys(short_name(path, records.varies) for path in found)
    return _draw_grids(grids, (row_path, rows), (numbers[0], columns), list(over)) if grids else None


def _panels(cells: Iterable[Cell], *, by_norm: bool) -> dict[str, list[Cell]]:
    """The cells of each panel by its title: one for each dataset, and `by_norm` one for each norm."""
    datasets = by_dataset(cells)
    found: dict[str, list[Cell]] = {}
    for cell in (cell for group in datasets for cell in group):
        title = [norm_of(cell)] * by_norm + [f"on {cell.dataset}"] * (len(datasets) > 1)
        found.setdefault(" ".join(title), []).append(cell)
    return found


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


def _draw_grids(grids: dict[str, Grid], row: Axis, column: Axis, over: Sequence[str]) -> Figure:
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
    figure.suptitle(f"test accuracy, %, mean over {joined(['seeds', *over])}", fontsize=11)
    return figure
