"""InstanceNorm normalises each channel of each image on its own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class InstanceNorm(Norm):
    """InstanceNorm (Ulyanov et al. 2016) with one mean and one variance per image and channel."""

    name: str = "in"
    eps: float = key(above=0, at_most=1000)

    title = "InstanceNorm"
    axes = "one channel of one image (H, W)"
    colour, marker = "#b0569b", "^"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return torch's InstanceNorm2d with a gain and a bias for each channel."""
        from torch import nn

        return nn.InstanceNorm2d(channels, eps=self.eps, affine=True)
