"""Draw README's figure of the values that each norm averages over.

python .github/draw_axes.py

The attribute `axes` of each norm says what to draw, so a new norm appears by itself.
"""

import re
import textwrap
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

from src.norms import NORMS, Norm

N, C, P = 4, 6, 4  # images, channels, pixels (both image axes in one)
COLUMNS = 3
IMAGE = Path(__file__).parent / "images" / "axes.png"


def averaged_values(norm: type[Norm]) -> npt.NDArray[np.bool_] | None:
    """Return which values of an activation (images, channels, pixels) share one mean; None for a norm without means.

    The parentheses at the end of `axes["map"]` name the axes: `(C/groups, H, W)` is a part of the channels of one
    image.  Raises ValueError for other texts.
    """
    text = norm.axes.get("map", "nothing")
    if text == "nothing":
        return None
    match = re.search(r"\((N|N/\w+)?(?:, )?(C|C/\w+)?(?:, )?(H, W)?\)$", text)
    if match is None:
        raise ValueError(f"norm={norm.name}: axes must end like (N, H, W), (C/groups, H, W) or (C), not {text!r}")
    images, channels, pixels = match.groups()
    mask = np.zeros((N, C, P), bool)
    mask[: _length(images, N), : _length(channels, C), 0 if pixels else P - 1 :] = True
    return mask


def _length(axis: str | None, whole: int) -> int:
    """Return how many positions of an axis share a mean: one without the axis, half for `C/groups`, all for `C`."""
    return 1 if axis is None else whole // 2 if "/" in axis else whole


def panels() -> dict[str, list[type[Norm]]]:
    """Return the norms by the values that they average over: first those that use the batch, then from many to few."""
    groups: dict[bytes, list[type[Norm]]] = {}
    for norm in NORMS.values():
        mask = averaged_values(norm)
        if mask is not None:
            groups.setdefault(mask.tobytes(), []).append(norm)
    ordered = sorted(groups.items(), key=lambda item: (not item[1][0].uses_batch, -sum(item[0])))
    return {", ".join(norm.name for norm in norms): norms for _, norms in ordered}


def description() -> str:
    """Return what the figure shows, as text; the file contains it, so a test notices a figure that is out of date."""
    return "; ".join(f"{names}: {norms[0].axes['map']}" for names, norms in panels().items())


def draw() -> Figure:
    """Return a figure with one activation (images, channels, pixels) per panel; colour marks the values of one mean."""
    rows = -(-len(panels()) // COLUMNS)
    figure = Figure(figsize=(11, 3.3 * rows), layout="constrained")
    for position, (names, norms) in enumerate(panels().items(), start=1):
        axes: Axes3D = figure.add_subplot(rows, COLUMNS, position, projection="3d")
        colours = np.where(averaged_values(norms[0]), norms[0].colour, "#eeeeee")
        axes.voxels(np.ones((N, C, P), bool), facecolors=colours, edgecolor="#777777", linewidth=0.5, shade=False)
        axes.view_init(elev=24, azim=-52)
        axes.set(xticks=[], yticks=[], zticks=[], box_aspect=(N, C, P))
        axes.set_xlabel("images N", labelpad=-12)
        axes.set_ylabel("channels C", labelpad=-12)
        axes.set_zlabel("pixels H x W", labelpad=-12)
        axes.set_title(textwrap.fill(f"{names}: {norms[0].axes['map'].rpartition(' (')[0]}", 30), fontsize=11)
    return figure


if __name__ == "__main__":
    draw().savefig(IMAGE, dpi=110, metadata={"Software": None, "Description": description()})
