"""The options and the layers of the default network, without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.models import Convolution, NormLayer, PlainNetwork
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class CNN(PlainNetwork):
    """A network of three convolutions with norm and ReLU; on MNIST it has 14,890 parameters with the default width."""

    name: str = "cnn"
    width: int = key(at_least=1, at_most=1024)

    title = "small CNN"
    sizes = (28, 32)
    epochs = 4
    learning_rates: ClassVar = {
        **{"adam": 0.02, "adamw": 0.02, "rmsprop": 0.003, "sgd": 0.1},
        **{"nadam": 0.02, "muon": 0.06, "lion": 0.01, "schedulefree": 0.06},
    }

    def convolutions(self) -> tuple[Convolution, ...]:
        """Return the convolutions of the network in order.

        Images of 28 x 28 pixels shrink to 12 x 12, 6 x 6 (pooling) and 4 x 4; 32 x 32 to 14 x 14, 7 x 7 and 5 x 5.
        """
        return (
            Convolution("conv1", self.width, kernel=6, stride=2, pool=True),
            Convolution("conv2", 2 * self.width, kernel=3),
            Convolution("conv3", 2 * self.width, kernel=3, padding=1),
        )

    def build(self, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> "nn.Module":
        """Return the torch module of the network."""
        from src.models.modules.cnn import CNN

        return CNN(channels, classes, self.convolutions(), norm, dropout)
