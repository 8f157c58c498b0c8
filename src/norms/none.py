"""No normalisation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.norms import Layout, Norm

if TYPE_CHECKING:
    from torch import nn


@dataclass
class NoNorm(Norm):
    """No normalisation: each convolution has a bias instead."""

    name: str = "none"

    title = "no norm"
    axes = "nothing"
    evaluation = "-"
    colour, marker = "#666666", "x"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return an identity."""
        from torch import nn

        return nn.Identity()
