"""How a cell looks in every figure: hue and marker by norm, shade and line style by the rest; grey tells it too."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from src.pictures.colours import HUES
from src.results.records import Cell

MARKERS = dict(zip(HUES, "xosD^v<>pP", strict=False))  # one a norm, as the hue
OTHER_MARKER = "*"
LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.2)),
    (0, (6, 2, 1, 2)),
    (0, (9, 3)),
    (0, (4, 1.5, 1, 1.5, 1, 1.5)),
)
FILLS = ("full", "none", "left", "top")  # of markers
LONGEST = 48  # letters of a label in a figure
INK, FRAME = "#222222", "#e4e7ea"


def marker(norm: str) -> str:
    """The norm's own, as its hue."""
    return MARKERS.get(norm, OTHER_MARKER)


def line_styles(norms: Sequence[str]) -> list[int]:
    """For each line how many of its norm stand before it, which `look` makes a style of."""
    seen: dict[str, int] = {}
    styles = []
    for norm in norms:
        styles.append(seen.get(norm, 0))
        seen[norm] = seen.get(norm, 0) + 1
    return styles


def look(style: int) -> dict[str, Any]:
    """Solid for the first line of a norm, then ever more broken; then the same with markers that are filled less."""
    return {"linestyle": LINES[style % len(LINES)], "fillstyle": FILLS[style // len(LINES) % len(FILLS)]}


def norm_of(cell: Cell) -> str:
    """The name of its norm."""
    return str(cell.leaves["norm.name"])


def best(cells: Sequence[Cell], most: int) -> list[Cell]:
    """At most so many cells, those of the highest mean validation accuracy, in the order in which they stand."""
    if len(cells) <= most:
        return list(cells)
    means = [float(np.mean(cell.values("val/accuracy"))) for cell in cells]
    chosen = sorted(range(len(cells)), key=lambda k: -means[k])[:most]
    return [cells[k] for k in sorted(chosen)]


def plain(label: str) -> str:
    """A label as matplotlib draws it letter by letter: a dollar would begin a formula, an underscore hide it."""
    words = " ".join(label.split())
    if len(words) > LONGEST:  # the norm stands at the beginning, what tells two labels apart often at the end
        words = f"{words[: LONGEST // 3]}...{words[3 + LONGEST // 3 - LONGEST :]}"
    words = words.replace("$", r"\$")
    return f" {words}" if words.startswith("_") else words


def dress(axes: Axes, title: str) -> None:
    """A heading on the left, a pale grid behind, no frame above and on the right."""
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color=FRAME, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
