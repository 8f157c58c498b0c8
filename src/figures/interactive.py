"""The curves as a browser shows them: hovered for their numbers, cells switched on and off."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.core.property.vectorization import Value
from bokeh.embed import components
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Line, Range1d, Scatter, VArea
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure
from bokeh.resources import Resources

from src.figures.curves import PANELS, Curve, curve
from src.figures.looks import best, line_styles, marker, norm_of
from src.pictures.colours import colour
from src.results.records import Cell

SHOWN = 40  # at most so many cells; the page stays quick
DASHES = ("solid", "dashed", "dotted", "dotdash", [9, 3], "dashdot")  # as in `looks.LINES`
# Those of `looks.MARKERS`, as Bokeh calls them.
MARKERS = {"x": "x", "o": "circle", "s": "square", "D": "diamond", "^": "triangle", "v": "inverted_triangle"}
POINTS = 60  # epochs; with more a line carries no points


@dataclass(frozen=True)
class Toggle:
    """A cell that can be switched: its position among the lines, label, colour and dashes as SVG has them."""

    position: int
    label: str
    colour: str
    dashes: str


@dataclass(frozen=True)
class Interactive:
    """What a page needs: the library, the script that draws, the places where it draws, what can be switched."""

    library: str
    script: str
    places: tuple[str, ...]  # HTML
    toggles: tuple[Toggle, ...]
    left_out: int  # cells that are not shown


def interactive(cells: Sequence[Cell]) -> Interactive:
    """Loss and accuracy of the cells, those of the highest validation accuracy where there are very many.

    Everything stands in the page: nothing is fetched.
    """
    drawn = best(cells, SHOWN)
    styles = line_styles([norm_of(cell) for cell in drawn])
    longest = max(len(job.epochs) for cell in drawn for job in cell.jobs)
    epochs = Range1d(start=0.8, end=longest + 0.2)
    panels = [_panel(drawn, styles, metric, title, epochs, longest) for metric, title in PANELS]
    script, places = components(tuple(panels), wrap_script=False)
    svg_dashes = ("none", "7 3", "2 2", "8 3 2 3", "12 4", "5 2 2 2 2 2")
    toggles = [
        Toggle(position, cell.label, colour(cell.leaves), svg_dashes[style % len(svg_dashes)])
        for position, (cell, style) in enumerate(zip(drawn, styles, strict=True))
    ]
    library = "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)
    return Interactive(library, script, tuple(places), tuple(toggles), len(cells) - len(drawn))


def _panel(
    cells: Sequence[Cell], styles: Sequence[int], metric: str, title: str, epochs: Range1d, longest: int
) -> figure:
    """One metric; every renderer carries its cell's position as a tag, by which the page finds it."""
    found = [curve(cell, metric) for cell in cells]
    positive = metric.endswith("loss") and all((one.low > 0).all() for one in found)
    panel = figure(
        title=title,
        height=300,
        sizing_mode="stretch_width",
        x_range=epochs,
        y_axis_type="log" if positive else "linear",
        x_axis_label="epoch",
        tools="box_zoom,reset",
        toolbar_location="above",
        min_border_right=12,
    )
    panel.toolbar.logo = None
    panel.toolbar.autohide = True
    panel.outline_line_color = None
    panel.grid.grid_line_color = "#e4e7ea"
    if positive:
        ticks = _log_ticks(min(one.low.min() for one in found), max(one.high.max() for one in found))
        panel.yaxis.ticker = FixedTicker(ticks=ticks)
        panel.yaxis.major_label_overrides = {tick: f"{tick:g}" for tick in ticks}
    if longest <= 10:
        panel.xaxis.ticker = FixedTicker(ticks=list(range(1, longest + 1)))
    points = [
        _line(panel, cell, one, position, style)
        for position, (cell, one, style) in enumerate(zip(cells, found, styles, strict=True))
    ]
    unit = "{0.00}" if metric.endswith("accuracy") else "{0.0000}"
    rows = [("cell", "@label"), ("epoch", "@epoch"), ("mean", f"@mean{unit}"), ("seeds", f"@low{unit} to @high{unit}")]
    panel.add_tools(HoverTool(renderers=[*points], tooltips=rows, mode="mouse"))
    return panel


def _log_ticks(low: float, high: float) -> list[float]:
    """Values with few digits between two others: 1, 2 and 5 of each power of ten, or 1 alone where there are many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    parts = (1, 2, 5) if len(decades) <= 5 else (1,)
    return [float(f"{part}e{power}") for power in decades for part in parts]


def _line(panel: figure, cell: Cell, found: Curve, position: int, style: int) -> "GlyphRenderer[Any]":
    """Band, line and points of one cell; the points are what is hovered."""
    own = colour(cell.leaves)
    length = len(found.epochs)
    source = ColumnDataSource(
        {
            "epoch": found.epochs.astype(np.int32),
            "mean": found.mean,
            "low": found.low,
            "high": found.high,
            "label": [f"{cell.label} (n = {found.n})"] * length,
        }
    )
    common = {"tags": [position], "nonselection_glyph": None, "muted_glyph": None}  # by default two copies of each
    if found.n > 1:
        band = VArea(x="epoch", y1="low", y2="high", fill_color=own, fill_alpha=0.15)
        panel.add_glyph(source, band, level="underlay", **common)
    line = Line(x="epoch", y="mean", line_color=own, line_width=2, line_dash=DASHES[style % len(DASHES)])
    panel.add_glyph(source, line, **common)
    points = Scatter(
        x="epoch",
        y="mean",
        marker=Value(MARKERS.get(marker(norm_of(cell)), "star")),
        size=7 if length <= POINTS else 3,
        line_color=own,
        fill_color=own if style < len(DASHES) else "white",
    )
    return panel.add_glyph(source, points, **common)
