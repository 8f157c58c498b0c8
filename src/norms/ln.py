"""LayerNorm normalises each image over all its channels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class LayerNorm(Norm):
    """LayerNorm (Ba, Kiros & Hinton 2016) with one mean and one variance per image, over channels and both image axes.

    It has one gain and one bias per channel (Wu & He 2018, section 3).  The popular `nn.LayerNorm([C, H, W])` has a
    gain and a bias for every pixel instead, so its models are far larger.
    """

    name: str = "ln"
    eps: float = key(above=0, at_most=1000)

    title = "LayerNorm"
    axes = "all channels of one image (C, H, W)"
    colour, marker = "#009e73", "D"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return torch's GroupNorm with one group, which is LayerNorm with a gain and a bias per channel."""
        from torch import nn

        return nn.GroupNorm(1, channels, eps=self.eps)
