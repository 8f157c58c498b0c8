"""RMSNorm divides by the root mean square of the channels, without a mean and without a bias."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class RMSNorm(Norm):
    """RMSNorm divides by the root mean square over the channels of each position (Zhang & Sennrich 2019).

    x / sqrt(mean of squares + eps) * gain, the same in training and evaluation (arXiv 1910.07467, equation 4).  It
    subtracts no mean, and like the authors' code it has no bias by default.  Networks have no bias before a norm, so
    with `rms` their hidden layers have none at all.  For tokens it is the norm of LLaMA.
    A useful eps is 1e-6.  It suits Transformers; after ReLU networks with few channels, the mean that it keeps can
    dominate.  With one channel only the sign of a value would be left.
    """

    name: str = "rms"
    eps: float = key(above=0, at_most=1000)

    title = "RMSNorm"
    axes: ClassVar = {
        "map": "all channels of one position of one image (C)",
        "tokens": "all channels of one token (C)",
        "vector": "all channels of one image (C)",
    }
    needs_two_channels = ("map", "tokens", "vector")
    formula = "x / sqrt(mean of squares + eps) * gain"
    parameters = "C"
    colour, marker = "#b4b100", "p"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return torch's RMSNorm, for maps with the channels moved to the last dimension."""
        from src.norms.modules.positions import MapRMSNorm, RMSNorm

        kind = MapRMSNorm if layout == "map" else RMSNorm
        return kind(channels, eps=self.eps)
