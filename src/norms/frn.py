"""Filter response normalisation, with its thresholded linear unit in place of ReLU."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class FilterResponseNorm(Norm):
    """Filter response normalisation divides each channel of each image by its root mean square (Singh & Krishnan 2020).

    x / sqrt(mean of squares + eps) * gain + bias, then max(x, threshold) in place of the network's ReLU, the same in
    training and evaluation (arXiv 1911.09737, equations 1 to 3).  It subtracts no mean; the learned threshold of each
    channel, which starts at 0, makes up for that.
    The paper's eps is 1e-6, with a warm-up of the learning rate.  In the paper's residual networks (ResNetV2), each
    ReLU follows a norm.  In those of He et al. 2015, the ReLU after the addition also becomes a threshold, as in the
    reproduction at github.com/ppwwyyxx/FRN-on-common-ImageNet-baseline, which found FRN 0.2 to 0.4 points behind bn.
    Maps of few pixels give noisy statistics.  Networks with GELU and networks of timm keep their own activation, so
    normlab refuses FRN there.
    """

    name: str = "frn"
    eps: float = key(above=0, at_most=1000)

    title = "filter response normalisation"
    axes: ClassVar = {"map": "one channel of one image (H, W)"}
    unsupported: ClassVar = {
        "tokens": "the paper defines it only for maps of pixels",
        "vector": "a channel of a vector has one value, and only its sign would be left",
    }
    formula = "max(x / sqrt(mean of squares + eps) * gain + bias, threshold)"
    parameters = "3 C"
    replaces_relu = True
    colour, marker = "#fd8aa9", "X"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return a layer with a gain and a bias per channel."""
        from src.norms.modules.frn import FilterResponseNorm

        return FilterResponseNorm(channels, self.eps)

    def activation(self, channels: int) -> "nn.Module":
        """Return the thresholded linear unit, with one threshold per channel."""
        from src.norms.modules.frn import ThresholdedLinearUnit

        return ThresholdedLinearUnit(channels)
