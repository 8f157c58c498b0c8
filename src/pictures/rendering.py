"""A figure as a file; the same bytes for the same numbers."""

import io
import warnings
from collections.abc import Callable, Mapping

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

DPI = 120
# A decorator: a figure is made and drawn by matplotlib's own defaults, whatever its user has set in this process.
default_settings = mpl.rc_context({name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"})


@default_settings
def png(figure: Figure) -> bytes:
    """A figure as PNG, without date and version: equal figures give equal bytes."""
    return _drawn(figure, FigureCanvasAgg(figure).print_png, {"Software": None})


@default_settings
def svg(figure: Figure) -> bytes:
    """A figure as SVG, letters as outlines, without date and version: equal figures give equal bytes."""
    with mpl.rc_context({"svg.hashsalt": "normlab"}):
        return _drawn(figure, FigureCanvasSVG(figure).print_svg, {"Date": None, "Creator": None})


def _drawn(figure: Figure, canvas: Callable[..., None], metadata: Mapping[str, None]) -> bytes:
    """By the canvas itself: `savefig` would go through everything once more to find the layout, which drawing does."""
    figure.set_dpi(DPI)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a folder's name in a label; a box stands for the letter
        canvas(buffer, metadata=metadata)
    figure.set_layout_engine("none")  # the layout stands, and to find it anew for the other format takes a third of it
    return buffer.getvalue()
