"""Gives each cell the same look in all figures: the norm sets colour and marker, other keys set shade and line."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from src.norms import NORMS
from src.pictures.colours import choose_colour

Settings = Mapping[str, Any]
"""The configuration of a run: its values by dotted key, as in a row of `Results.runs`."""
DASH_PATTERNS = ((5, 2), (1, 1.2), (6, 2, 1, 2), (9, 3), (4, 1.5, 1, 1.5, 1, 1.5))  # lengths of dashes and gaps
LINES: tuple[Any, ...] = ("-", *((0, pattern) for pattern in DASH_PATTERNS))  # matplotlib's line styles
FILLS = ("full", "none", "left", "top")  # matplotlib's fill styles of markers
MAX_LABEL_LENGTH = 48  # a longer name of a cell is cut in the middle
INK, GRID_COLOUR = "#222222", "#e4e7ea"


def marker(norm_name: str) -> str:
    """The marker of a norm; a star for a norm that this version does not have, such as one in an old folder."""
    return NORMS[norm_name].marker if norm_name in NORMS else "*"


def line_styles(lines: Iterable[Settings]) -> list[dict[str, Any]]:
    """The colour, marker, line style and marker fill of each line, for matplotlib; 24 lines of one norm all differ.

    The first line of a norm is solid, and the next five are dashed.  The next six repeat this with hollow markers.
    """
    counts: dict[str, int] = {}
    styles = []
    for settings in lines:
        name = settings["norm.name"]
        count = counts[name] = counts.get(name, -1) + 1
        line = {"linestyle": LINES[count % len(LINES)], "fillstyle": FILLS[count // len(LINES) % len(FILLS)]}
        styles.append({"color": choose_colour(settings), "marker": marker(name), **line})
    return styles


def cell_settings(runs: pd.DataFrame) -> dict[str, Settings]:
    """A dictionary from each cell's name to its settings, in the order of the runs."""
    cells: dict[str, Settings] = runs.drop_duplicates("cell").set_index("cell").to_dict("index")
    return cells


def best_cell_settings(runs: pd.DataFrame, max_cells: int) -> dict[str, Settings]:
    """The settings of the `max_cells` cells with the highest mean validation accuracy, in the order of the runs."""
    means = runs.groupby("cell", sort=False)["val/accuracy"].mean()
    best_names = means.sort_values(ascending=False, kind="stable").index[:max_cells]
    return cell_settings(runs[runs["cell"].isin(best_names)])


def selection_title(shown: int, cells: int) -> str:
    """The title of a figure that shows only the best cells; empty if the figure shows all cells."""
    return f"the {shown} cells with the highest validation accuracy, out of {cells:,}" if shown < cells else ""


def figure_label(label: str) -> str:
    """Text for matplotlib that is drawn literally: special characters escaped, on one line, and cut in the middle."""
    text = " ".join(label.split())
    if len(text) > MAX_LABEL_LENGTH:  # names begin with the norm, and often differ at the end
        text = f"{text[: MAX_LABEL_LENGTH // 3]}...{text[3 + MAX_LABEL_LENGTH // 3 - MAX_LABEL_LENGTH :]}"
    text = text.replace("$", r"\$")  # a dollar would begin a formula
    return f" {text}" if text.startswith("_") else text  # matplotlib hides text that begins with _


def legend_column_count(labels: Iterable[str]) -> int:
    """The number of labels that fit side by side in the legend below a figure of full width."""
    widths = [len(figure_label(label)) for label in labels]
    return max(1, min(len(widths), 105 // (max(widths) + 12)))


def style_axes(axes: Axes, title: str) -> None:
    """Set a title on the left, draw a pale grid behind the data, and remove the frame above and on the right."""
    # Without a position, matplotlib measures all tick labels again for each title, and for each empty label of an axis.
    axes.set_title(title, fontsize=11, loc="left", y=1)
    axes.yaxis.set_label_coords(0, 0.5)
    axes.grid(color=GRID_COLOUR, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
