"""Draw README's figure of the values that each norm averages over.

python .github/draw_axes.py
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

N, C, P = 4, 6, 4  # images, channels, pixels (both image axes in one)
GROUPS = 2
NORMS = {
    "bn": ("BatchNorm: one channel\nof all images", lambda n, c: c == 0),
    "gn": ("GroupNorm: some channels\nof one image", lambda n, c: (n == 0) & (c < C // GROUPS)),
    "ln": ("LayerNorm: all channels\nof one image", lambda n, c: n == 0),
    "in": ("InstanceNorm: one channel\nof one image", lambda n, c: (n == 0) & (c == 0)),
}
COLOURS = {"bn": "#0072b2", "gn": "#d55e00", "ln": "#009e73", "in": "#b0569b"}  # the colours of all figures


def draw() -> Figure:
    """Return a figure of one activation (images, channels, pixels) per norm; colour marks the values of one mean."""
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    image, channel, _ = np.indices((N, C, P))
    for position, (name, (title, averaged)) in enumerate(NORMS.items(), start=1):
        axes: Axes3D = figure.add_subplot(1, len(NORMS), position, projection="3d")
        colours = np.where(averaged(image, channel), COLOURS[name], "#eeeeee")
        axes.voxels(np.ones((N, C, P), bool), facecolors=colours, edgecolor="#777777", linewidth=0.5, shade=False)
        axes.view_init(elev=24, azim=-52)
        axes.set(xticks=[], yticks=[], zticks=[], box_aspect=(N, C, P))
        axes.set_xlabel("images N", labelpad=-12)
        axes.set_ylabel("channels C", labelpad=-12)
        axes.set_zlabel("pixels H x W", labelpad=-12)
        axes.set_title(title, fontsize=11)
    return figure


if __name__ == "__main__":
    draw().savefig(Path(__file__).parent / "images" / "axes.png", dpi=110, metadata={"Software": None})
