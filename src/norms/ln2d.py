"""LayerNorm of each position of a map over its channels, as in ConvNeXt."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class LayerNorm2d(Norm):
    """LayerNorm over the channels of each position (Liu et al. 2022, ConvNeXt, arXiv 2201.03545), not over the image.

    (x - mean) / sqrt(variance + eps) * gain + bias, the same in training and evaluation.  `norm=ln` has one mean and
    one variance per image instead, over channels and pixels, so it keeps the contrast between positions; `ln2d` scales
    a dark pixel like a bright one.  For tokens and vectors, `ln2d` computes the same as `ln`.
    The paper's eps is 1e-6.  A few channels give noisy statistics: one channel gives 0, and two give only 1 and -1.
    """

    name: str = "ln2d"
    eps: float = key(above=0, at_most=1000)

    title = "LayerNorm over channels"
    axes: ClassVar = {
        "map": "all channels of one position of one image (C)",
        "tokens": "all channels of one token (C)",
        "vector": "all channels of one image (C)",
    }
    needs_two_channels = ("map", "tokens", "vector")
    colour, marker = "#005900", "d"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return torch's LayerNorm, for maps with the channels moved to the last dimension."""
        from torch import nn

        from src.norms.modules.positions import MapLayerNorm

        kind = MapLayerNorm if layout == "map" else nn.LayerNorm
        return kind(channels, eps=self.eps)
