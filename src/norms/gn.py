"""GroupNorm normalises each group of channels of each image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.bad_input import BadInput
from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class GroupNorm(Norm):
    """GroupNorm (Wu & He 2018) with one mean and one variance per image and group of channels.

    Other images have no effect.  One group gives LayerNorm, and one channel per group gives InstanceNorm.
    """

    name: str = "gn"
    eps: float = key(above=0, at_most=1000)
    groups: int = key(at_least=1)

    title = "GroupNorm"
    axes = "a group of channels of one image (C/groups, H, W)"
    colour, marker = "#d55e00", "s"

    def check_channels(self, channels: Sequence[tuple[str, int]]) -> None:
        """Raise BadInput unless the number of groups divides the number of channels of every layer."""
        for layer, count in channels:
            if count % self.groups:
                divisors = [n for n in range(1, count + 1) if count % n == 0]
                raise BadInput(
                    f"norm.groups={self.groups} does not divide the {count} channels of layer {layer}",
                    ", ".join(map(str, divisors)),
                    f"norm=gn norm.groups={max(n for n in divisors if n < self.groups)}",
                )

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return torch's GroupNorm with `norm.groups` groups."""
        from torch import nn

        return nn.GroupNorm(self.groups, channels, eps=self.eps)
