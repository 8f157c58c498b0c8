"""Write a matplotlib figure as PNG or SVG; equal figures give equal bytes."""

import io
import warnings
from collections.abc import Callable, Mapping

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

DPI = 120
# Decorate a function with this to draw with matplotlib's default settings, even if a user has changed them.
default_settings = mpl.rc_context({name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"})


@default_settings
def render_png(figure: Figure) -> bytes:
    """Return a figure as PNG, without matplotlib's version in its metadata."""
    return _output_bytes(figure, FigureCanvasAgg(figure).print_png, {"Software": None})


@default_settings
def render_svg(figure: Figure) -> bytes:
    """Return a figure as SVG, without date and version in its metadata; letters become paths, so no font is needed."""
    with mpl.rc_context({"svg.hashsalt": "normlab"}):
        return _output_bytes(figure, FigureCanvasSVG(figure).print_svg, {"Date": None, "Creator": None})


def _output_bytes(figure: Figure, print_figure: Callable[..., None], metadata: Mapping[str, None]) -> bytes:
    """Return the bytes that `print_figure` writes; `savefig` would draw twice, first for the layout."""
    figure.set_dpi(DPI)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A folder's name can contain letters that the font lacks; matplotlib then draws a box and warns.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        print_figure(buffer, metadata=metadata)
    figure.set_layout_engine("none")  # so a second format reuses this layout, which is slow to compute
    return buffer.getvalue()
