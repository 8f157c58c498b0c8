"""Prepares the curves for report.html, where a reader can hide cells and read the values at each epoch."""

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from src.figures.curves import MAX_CELLS, PANEL_TITLES, curve_statistics
from src.figures.figures import Drawing
from src.figures.looks import best_cell_settings, line_styles
from src.results.results import Results

DASH_UNIT = 3  # pixels per unit of a dash pattern, in the sample line beside a check box


@dataclass(frozen=True)
class CheckBox:
    """A check box that hides and shows a cell: the cell's name, and the colour and dashes of its line."""

    label: str
    colour: str
    dashes: str  # value of the SVG attribute `stroke-dasharray`


@dataclass(frozen=True)
class InlineCurves:
    """The drawing of the curves, its check boxes, and the numbers that `report.js` shows."""

    svg: str  # the SVG element without the XML header
    boxes: list[CheckBox]
    lines: list[dict[str, Any]]  # per panel and cell; a point is x and y in the SVG, mean, minimum and maximum


def inline_curves(results: Results, drawing: Drawing) -> InlineCurves:
    """Return the curves in `drawing` as an SVG element, with the numbers of every point."""
    svg = drawing.svg.decode()  # also computes the layout, which `_curve_data` needs
    cells = best_cell_settings(results.runs, MAX_CELLS)
    boxes = [
        CheckBox(cell, style["color"], _svg_dash_array(style["linestyle"]))
        for cell, style in zip(cells, line_styles(cells.values()), strict=True)
    ]
    return InlineCurves(svg[svg.index("<svg") :], boxes, _curve_data(results, list(cells), drawing.figure))


def _svg_dash_array(pattern: Any) -> str:
    return "none" if pattern == "-" else " ".join(f"{DASH_UNIT * length:g}" for length in pattern[1])


def _curve_data(results: Results, cells: list[str], figure: Figure) -> list[dict[str, Any]]:
    width, height = 72 * figure.get_size_inches()  # an SVG has 72 units per inch
    lines = []
    for axes, metric in zip(figure.axes, PANEL_TITLES, strict=True):
        to_figure = axes.transData - figure.transFigure  # maps epoch and value to shares of width and height
        for position, curve in enumerate(curve_statistics(results, cells, metric).values()):
            shares = to_figure.transform(curve["mean"].reset_index().to_numpy())
            points = [
                [round(width * x, 1), round(height * (1 - y), 1), *(float(f"{value:.6g}") for value in values)]
                for (x, y), values in zip(shares, curve[["mean", "min", "max"]].to_numpy(), strict=True)
            ]
            digits = 4 if metric.endswith("loss") else 2
            lines.append({"cell": position, "seeds": int(curve["count"].max()), "digits": digits, "points": points})
    return lines
