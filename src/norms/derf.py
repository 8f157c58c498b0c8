"""Dynamic erf, a bounded function in place of a norm."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.norms import Layout
from src.norms.dyt import DynamicTanh

if TYPE_CHECKING:
    from torch import nn


@dataclass
class DynamicErf(DynamicTanh):
    """Dynamic erf bounds each value by erf(alpha x + shift), without any statistics (Chen et al. 2025).

    erf(alpha x + shift) * gain + bias, the same in training and evaluation (arXiv 2512.10938).  Each layer learns one
    alpha, which starts at `norm.alpha`, and one shift, which starts at 0.  The paper uses alpha = 0.5.
    The paper replaces LayerNorm and RMSNorm in Transformers, not BatchNorm in convolutional networks.  The erf
    saturates earlier than the tanh of `dyt`, so large activations lose their gradients sooner.
    """

    name: str = "derf"

    title = "Dynamic erf"
    formula = "erf(alpha x + shift) * gain + bias"
    parameters = "2 C + 2"
    colour, marker = "#730a82", "<"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return a layer with a gain and a bias per channel, one alpha and one shift."""
        from src.norms.modules.bounded import DynamicErf

        return DynamicErf(channels, layout, self.alpha)
