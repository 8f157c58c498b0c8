"""Writes a figure as PNG or SVG; equal figures give equal bytes."""

import io
import warnings
from collections.abc import Callable, Mapping

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

DPI = 120
# A decorator: the function draws with matplotlib's default settings, whatever a user has set in this process.
default_settings = mpl.rc_context({name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"})


@default_settings
def png(figure: Figure) -> bytes:
    """Return a figure as PNG, without date and version."""
    return _draw(figure, FigureCanvasAgg(figure).print_png, {"Software": None})


@default_settings
def svg(figure: Figure) -> bytes:
    """Return a figure as SVG, without date and version; letters are outlines."""
    with mpl.rc_context({"svg.hashsalt": "normlab"}):
        return _draw(figure, FigureCanvasSVG(figure).print_svg, {"Date": None, "Creator": None})


def _draw(figure: Figure, print_figure: Callable[..., None], metadata: Mapping[str, None]) -> bytes:
    """Return the canvas's output; `savefig` would draw everything twice, once to find the layout."""
    figure.set_dpi(DPI)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The name of a folder can contain letters that the font lacks; the figure shows a box instead.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        print_figure(buffer, metadata=metadata)
    figure.set_layout_engine("none")  # keeps the layout for the other format: finding it takes a third of the time
    return buffer.getvalue()
