"""Dynamic Tanh, a bounded function in place of a norm."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.norms import NO_AXES, Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class DynamicTanh(Norm):
    """Dynamic Tanh bounds each value by tanh(alpha x), without any statistics (Zhu et al. 2025, arXiv 2503.10622).

    tanh(alpha x) * gain + bias, the same in training and evaluation.  Each layer learns one alpha, which starts at
    `norm.alpha`.  The paper uses 0.5, except in language models, where wider networks need smaller values.
    The paper replaces LayerNorm in Transformers and ConvNeXt, and says that DyT struggles to replace BatchNorm in
    networks such as ResNets.  Large activations saturate the tanh, so their gradients vanish.
    """

    name: str = "dyt"
    alpha: float = key(above=0, at_most=1000)

    title = "Dynamic Tanh"
    axes = NO_AXES
    formula = "tanh(alpha x) * gain + bias"
    parameters = "2 C + 1"
    colour, marker = "#ff1fe0", ">"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return a layer with a gain and a bias per channel, and one alpha."""
        from src.norms.modules.bounded import DynamicTanh

        return DynamicTanh(channels, layout, self.alpha)
