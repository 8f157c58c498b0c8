"""The options and the layers of the multilayer perceptron, without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from src.models import Network, NormLayer
from src.schema import key

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass
class MLP(Network):
    """A multilayer perceptron; it sees the pixels of an image in no order.

    Three hidden layers of 100 sigmoid units are the network of the BatchNorm paper (Ioffe & Szegedy 2015, section 4.1),
    with ReLU instead of the sigmoid by default.  With BatchNorm it has 100,010 parameters on MNIST.
    """

    name: str = "mlp"
    depth: int = key(at_least=1, at_most=128)
    width: int = key(at_least=1, at_most=1024)
    activation: str = key(choices=("relu", "sigmoid"))

    title = "multilayer perceptron"
    sizes = range(8, 257)
    epochs = 10
    learning_rates: ClassVar = {
        **{"adam": 0.01, "adamw": 0.01, "rmsprop": 0.003, "sgd": 0.2},
        **{"nadam": 0.01, "muon": 0.06, "lion": 0.001, "schedulefree": 0.01},
    }
    layout = "vector"

    def norm_channels(self) -> Sequence[tuple[str, int]]:
        """Return the name and the number of units of each hidden layer."""
        return [(f"hidden{layer}", self.width) for layer in range(1, self.depth + 1)]

    def build(self, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> "nn.Module":
        """Return the torch module of the network."""
        from src.models.modules.mlp import MLP

        return MLP(channels * size * size, classes, self.depth, self.width, self.activation, norm, dropout)

    def initialise(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Set the initial weights, which depend only on `generator`; the biases are 0.

        The weights are normal.  Their variance is 2 / fan-in with ReLU (He et al. 2015), and 1 / fan-in with the
        sigmoid (LeCun et al. 1998, Efficient BackProp, section 4.6).
        """
        from torch import nn

        nonlinearity: Literal["relu", "sigmoid"] = "sigmoid" if self.activation == "sigmoid" else "relu"
        for module in model.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity=nonlinearity, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
