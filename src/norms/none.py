"""The option `norm=none`, which trains without normalisation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.norms import NO_AXES, Layout, Norm

if TYPE_CHECKING:
    from torch import nn


@dataclass
class NoNorm(Norm):
    """No normalisation; each layer before a norm gets a bias instead.

    It needs lower learning rates than a norm.  Residual networks start with their branches at 0 (De & Smith 2020).
    """

    name: str = "none"

    title = "no norm"
    axes = NO_AXES
    formula = "x"
    parameters = "0"
    evaluation = "-"
    colour, marker = "#666666", "x"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return a layer that leaves its input unchanged."""
        from torch import nn

        return nn.Identity()
