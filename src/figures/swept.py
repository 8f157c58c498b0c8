"""Accuracy, and what L1 does to the weights, against a swept number."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.looks import INK, dress, line_styles, look, marker, norm_of, plain
from src.pictures.colours import colour
from src.results.records import Cell, Records, balanced
from src.results.weights import SMALL, cell_weights
from src.runs.naming import format_value, job_name

LINES_SHOWN = 8
TICKS = 12
# Keys whose effect goes with their order of magnitude; others are so drawn where they span a factor of 20.
STRENGTHS = ("reg.l1", "reg.l2", "optimizer.lr", "optimizer.eps", "norm.eps")
Measure = tuple[str, Callable[[Cell], list[float]]]
"""What is drawn, with its unit, and its value for each seed of a cell; none at all leaves the cell out."""


def swept_numbers(records: Records) -> list[str]:
    """The varying keys that hold at least two different numbers."""
    return [path for path in records.varies if len(numbers_of(records.cells, path)) > 1]


def numbers_of(cells: Iterable[Cell], path: str) -> list[float]:
    """The numbers that the cells hold for a key, ascending; cells that do not read it hold none."""
    found = {cell.leaves.get(path) for cell in cells}
    return sorted(float(value) for value in found if isinstance(value, int | float) and not isinstance(value, bool))


def accuracy_by(records: Records, path: str) -> Figure:
    """Test and validation accuracy against a swept number: a line for each norm and setting of what else is swept.

    Where these are more than `LINES_SHOWN`, a line for each norm, over all other settings.
    """
    measures: list[Measure] = [
        ("test accuracy, %", lambda cell: [100 * value for value in cell.values("test/accuracy")]),
        ("validation accuracy, %", lambda cell: [100 * value for value in cell.values("val/accuracy")]),
    ]
    return _by(records, path, measures)


def weights_by(records: Records, path: str = "reg.l1") -> Figure | None:
    """Size and sparsity of the trained weights against L1; None where no job's weights can be read."""
    found = {cell.key: cell_weights(cell) for cell in records.cells}
    if not any(found.values()):
        return None
    measures: list[Measure] = [
        ("sum of |weight|, after training", lambda cell: [one.magnitude for one in found[cell.key]]),
        (f"|weight| < {SMALL:g}, % of all", lambda cell: [100 * one.sparsity for one in found[cell.key]]),
    ]
    return _by(records, path, measures)


def _by(records: Records, path: str, measures: Sequence[Measure]) -> Figure:
    lines = _lines(records, path)
    figure = Figure(figsize=(9.6, 4.2 + 0.22 * math.ceil(len(lines) / 3)), layout="constrained")
    panels = figure.subplots(1, len(measures))
    values = numbers_of((cell for line in lines.values() for cell in line), path)
    place = _places(values, path)
    styles = line_styles([norm_of(line[0]) for line in lines.values()])
    for axes, (title, measure) in zip(panels, measures, strict=True):
        for position, ((name, line), style) in enumerate(zip(lines.items(), styles, strict=True)):
            aside = (position - (len(lines) - 1) / 2) * min(0.008, 0.06 / len(lines)) * _width(place)
            found: dict[float, list[float]] = {}
            for cell in line:
                found.setdefault(float(cell.leaves[path]), []).extend(measure(cell))
            points = [(place[value] + aside, values) for value, values in sorted(found.items()) if values]
            if points:
                own = colour({key: value for key, value in line[0].leaves.items() if key != path})
                _line(axes, name, points, own, norm_of(line[0]), style)
        dress(axes, title)
        _ticks(axes, place)
        axes.set_xlabel(path)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = max(1, min(len(lines), 3, 105 // (max(map(len, labels)) + 12)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, handlelength=4)
    if any(len(line) > len(numbers_of(line, path)) for line in lines.values()):
        figure.suptitle("mean over the other settings, bars from the lowest run to the highest", fontsize=10)
    return figure


def _lines(records: Records, path: str) -> dict[str, list[Cell]]:
    """The cells that hold a number for this key, by the name of their line.

    A line is what else tells cells apart, each dataset by itself; where these are too many to be told apart, a norm,
    with the other settings that were trained at all its values (`balanced`); where there is none, as in a search, with
    whatever was.
    """
    others = [other for other in records.varies if other != path]
    cells = [cell for cell in records.cells if numbers_of([cell], path)]
    several = len({cell.source["digest"] for cell in cells}) > 1

    def name(cell: Cell, shown: Sequence[str]) -> str:
        words = job_name(cell.leaves, shown, seed=False)
        return f"{words} {cell.source['digest'][:6]}" if several else words

    few = len({name(cell, others) for cell in cells}) <= LINES_SHOWN
    lines: dict[str, list[Cell]] = {}
    for cell in cells:
        lines.setdefault(name(cell, others if few else ["norm.name"]), []).append(cell)
    return {name: balanced(line, others, [path]) or line for name, line in lines.items()}


def _width(place: dict[float, float]) -> float:
    """From the first value to the last on the axis; lines stand a little apart, so that equal ones can be seen."""
    return max(place.values()) - min(place.values())


def _places(values: Sequence[float], path: str) -> dict[float, float]:
    """Where each value stands: by its logarithm where it is a strength, and zero then apart on the left."""
    positive = [value for value in values if value > 0]
    wide = bool(positive) and values[0] >= 0 and (path in STRENGTHS or positive[-1] >= 20 * positive[0])
    if not wide:
        return {value: value for value in values}
    logs = {value: math.log10(value) for value in positive}
    apart = max(0.6, 0.15 * (logs[positive[-1]] - logs[positive[0]]))
    return ({0.0: logs[positive[0]] - apart} if values[0] == 0 else {}) | logs


def _line(
    axes: Axes,
    name: str,
    points: Sequence[tuple[float, list[float]]],
    own: str,
    norm: str,
    style: int,
) -> None:
    """The mean over runs with a bar from the lowest to the highest, and every run as a dot."""
    places = [place for place, _ in points]
    means = np.array([np.mean(values) for _, values in points])
    below = means - [min(values) for _, values in points]
    above = [max(values) for _, values in points] - means
    axes.errorbar(
        places,
        means,
        yerr=np.maximum([below, above], 0),  # rounding may leave a mean outside its equal values
        color=own,
        marker=marker(norm),
        **look(style),
        markersize=6,
        capsize=3,
        linewidth=1.8,
        label=plain(name),
    )
    for place, values in points:
        if len(values) > 1:
            axes.plot([place] * len(values), values, ".", color=own, markersize=4, alpha=0.6)


def _ticks(axes: Axes, place: dict[float, float]) -> None:
    """The swept values themselves; a mark on the axis between zero and the logarithms."""
    values = list(place)
    step = math.ceil(len(values) / TICKS)
    shown = values[::step]
    axes.set_xticks([place[value] for value in shown], [format_value(value) for value in shown])
    axes.tick_params(axis="x", labelsize=9, rotation=0 if len(shown) <= 6 else 45)
    axes.margins(x=0.08)
    if values[0] == 0 and len(values) > 1 and place[0.0] != 0:
        middle = (place[0.0] + place[values[1]]) / 2
        axes.text(
            middle,
            0,
            "//",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="center",
            color=INK,
            backgroundcolor="white",
            fontsize=9,
            zorder=5,
        ).set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
