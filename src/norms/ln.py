"""LayerNorm normalises each image, or each of its tokens, over all channels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class LayerNorm(Norm):
    """LayerNorm (Ba, Kiros & Hinton 2016) with one mean and one variance per image, over channels and both image axes.

    (x - mean) / sqrt(variance + eps) * gain + bias, the same in training and evaluation (arXiv 1607.06450).  It has one
    gain and one bias per channel (Wu & He 2018, section 3).  The popular `nn.LayerNorm([C, H, W])` has a gain and a
    bias for every pixel instead, so its models are far larger.  ConvNeXt's LayerNorm, with one mean per position, is
    `norm=ln2d`.  For tokens, each token has its own mean and variance, as in Transformers.
    In networks for images, all channels share one scale, so a channel with large values hides the others.
    """

    name: str = "ln"
    eps: float = key(above=0, at_most=1000)

    title = "LayerNorm"
    axes: ClassVar = {
        "map": "all channels of one image (C, H, W)",
        "tokens": "all channels of one token (C)",
        "vector": "all channels of one image (C)",
    }
    needs_two_channels = ("tokens", "vector")
    colour, marker = "#009e73", "D"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return torch's LayerNorm for tokens and vectors, or for maps its GroupNorm with one group.

        Both have a gain and a bias per channel.
        """
        from torch import nn

        if layout != "map":
            return nn.LayerNorm(channels, eps=self.eps)
        return nn.GroupNorm(1, channels, eps=self.eps)
