"""InstanceNorm normalises each channel of each image on its own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class InstanceNorm(Norm):
    """InstanceNorm (Ulyanov et al. 2016) with one mean and one variance per image and channel.

    (x - mean) / sqrt(variance + eps) * gain + bias, the same in training and evaluation (arXiv 1607.08022).  All
    tokens of an image share them.  The paper uses it for style transfer, because it removes the contrast of each
    channel.  A classifier that needs this contrast loses accuracy, above all with maps of few pixels.
    """

    name: str = "in"
    eps: float = key(above=0, at_most=1000)

    title = "InstanceNorm"
    axes: ClassVar = {"map": "one channel of one image (H, W)", "tokens": "one channel of all tokens of one image (T)"}
    unsupported: ClassVar = {"vector": "a channel of a vector has one value, and its normalised value is always 0"}
    colour, marker = "#b0569b", "^"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return torch's InstanceNorm2d for maps or InstanceNorm1d for tokens, with a gain and a bias per channel."""
        from torch import nn

        from src.norms.modules.tokens import TokenInstanceNorm

        kind = TokenInstanceNorm if layout == "tokens" else nn.InstanceNorm2d
        return kind(channels, eps=self.eps, affine=True)
