"""Gives each cell the same look in all figures: colour and marker by norm, shade and line style by the rest."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from src.norms import NORMS

Settings = Mapping[str, Any]
"""A row of `Results.runs`: the values of a configuration by dotted key."""
DASHES = ((5, 2), (1, 1.2), (6, 2, 1, 2), (9, 3), (4, 1.5, 1, 1.5, 1, 1.5))  # lengths of dashes and gaps
LINES: tuple[Any, ...] = ("-", *((0, pattern) for pattern in DASHES))
FILLS = ("full", "none", "left", "top")  # of markers
LONGEST = 48  # letters of a cell's label in a figure
INK, FRAME = "#222222", "#e4e7ea"


def marker(norm_name: str) -> str:
    """The marker of a norm; a star for a norm in an old folder that this version does not have."""
    return NORMS[norm_name].marker if norm_name in NORMS else "*"


def filled_marker(norm_name: str) -> str:
    """The marker of a norm, or a circle in place of a cross, which has no area to fill."""
    return "o" if marker(norm_name) == "x" else marker(norm_name)


def line_styles(norm_names: Iterable[str]) -> list[dict[str, Any]]:
    """The line style and marker fill of each line, for matplotlib; 24 lines of the same norm all differ.

    The first line of a norm is solid and the next five are broken; then the markers are filled less.
    """
    counts: dict[str, int] = {}
    styles = []
    for name in norm_names:
        k = counts[name] = counts.get(name, -1) + 1
        styles.append({"linestyle": LINES[k % len(LINES)], "fillstyle": FILLS[k // len(LINES) % len(FILLS)]})
    return styles


def cell_settings(runs: pd.DataFrame) -> dict[str, Settings]:
    """The settings of each cell by its label, in the order of the runs."""
    cells: dict[str, Settings] = runs.drop_duplicates("cell").set_index("cell").to_dict("index")
    return cells


def best_cells(runs: pd.DataFrame, most: int) -> dict[str, Settings]:
    """The settings of the `most` cells with the highest mean validation accuracy, in the order of the runs."""
    means = runs.groupby("cell", sort=False)["val/accuracy"].mean()
    best = means.sort_values(ascending=False, kind="stable").index[:most]
    return cell_settings(runs[runs["cell"].isin(best)])


def selection_title(shown: int, cells: int) -> str:
    """The title of a figure that shows the best cells only; empty if it shows all of them."""
    return f"the {shown} cells with the highest validation accuracy, out of {cells:,}" if shown < cells else ""


def figure_label(label: str) -> str:
    """A label that matplotlib draws letter by letter: escaped, on one line, and shortened in its middle."""
    words = " ".join(label.split())
    if len(words) > LONGEST:  # the norm is at the beginning, and differences between labels are often at the end
        words = f"{words[: LONGEST // 3]}...{words[3 + LONGEST // 3 - LONGEST :]}"
    words = words.replace("$", r"\$")  # a dollar would begin a formula
    return f" {words}" if words.startswith("_") else words  # matplotlib hides labels that begin with an underscore


def legend_columns(labels: Iterable[str]) -> int:
    """The number of labels that fit beside each other in a legend below a figure of full width."""
    widths = [len(figure_label(label)) for label in labels]
    return max(1, min(len(widths), 105 // (max(widths) + 12)))


def style_axes(axes: Axes, title: str) -> None:
    """Set a title on the left, draw a pale grid behind the data, and remove the frame above and on the right."""
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color=FRAME, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
