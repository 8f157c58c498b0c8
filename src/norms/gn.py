"""GroupNorm normalises each group of channels of each image, or of each of its tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.bad_input import BadInput
from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class GroupNorm(Norm):
    """GroupNorm (Wu & He 2018) with one mean and one variance per image and group of channels.

    (x - mean) / sqrt(variance + eps) * gain + bias, the same in training and evaluation (arXiv 1803.08494).  One group
    gives LayerNorm, and one channel per group gives InstanceNorm.  For tokens, each token has its own means and
    variances, so one group gives LayerNorm there, too.
    The paper uses 32 groups, or 16 channels per group, in networks with 64 to 2048 channels.  Large batches often
    favour BatchNorm.
    """

    name: str = "gn"
    eps: float = key(above=0, at_most=1000)
    groups: int = key(at_least=1)

    title = "GroupNorm"
    axes: ClassVar = {
        "map": "a group of channels of one image (C/groups, H, W)",
        "tokens": "a group of channels of one token (C/groups)",
        "vector": "a group of channels of one image (C/groups)",
    }
    colour, marker = "#d55e00", "s"

    def check_channels(self, channels: Sequence[tuple[str, int]], layout: Layout) -> None:
        """Raise BadInput unless the number of groups divides the number of channels of every layer.

        Groups of tokens and vectors also need two channels or more, because one normalised value is always 0.
        """
        for layer, count in channels:
            if count % self.groups:
                problem = f"norm.groups={self.groups} does not divide the {count} channels of layer {layer}"
            elif layout != "map" and count == self.groups:
                problem = f"norm.groups={self.groups} leaves 1 value per group in layer {layer} ({count} channels)"
            else:
                continue
            divisors = [n for n in range(1, count + 1) if count % n == 0 and (layout == "map" or n < count)]
            if not divisors:
                raise BadInput(problem, "2 channels or more")
            suggestion = max(n for n in divisors if n < self.groups)
            raise BadInput(problem, ", ".join(map(str, divisors)), f"norm=gn norm.groups={suggestion}")

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return torch's GroupNorm with `norm.groups` groups."""
        from torch import nn

        from src.norms.modules.tokens import TokenGroupNorm

        kind = TokenGroupNorm if layout == "tokens" else nn.GroupNorm
        return kind(self.groups, channels, eps=self.eps)
