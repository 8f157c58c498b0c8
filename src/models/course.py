"""The options and the layers of a small network for colour images, without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.models import Convolution, NormLayer, PlainNetwork

if TYPE_CHECKING:
    from torch import nn


@dataclass
class Course(PlainNetwork):
    """The network of many course assignments: fewer than 50,000 parameters for colour images, with every norm.

    Three 3 x 3 convolutions with pooling, a 1 x 1 convolution that halves the channels (Lin, Chen & Yan 2014), another
    3 x 3 convolution, global average pooling and a linear layer.  With BatchNorm and ten classes it has 45,018
    parameters.
    """

    name: str = "course"

    title = "course network"
    sizes = range(16, 1025)
    epochs = 20
    learning_rates: ClassVar = {
        **{"adam": 0.02, "adamw": 0.02, "rmsprop": 0.005, "sgd": 0.15},
        **{"nadam": 0.02, "muon": 0.06, "lion": 0.01, "schedulefree": 0.02},
    }

    def convolutions(self) -> tuple[Convolution, ...]:
        """Return the convolutions of the network in order.  Images of 32 x 32 pixels shrink to 16, 8 and 4 pixels."""
        return (
            Convolution("conv1", 16, kernel=3, padding=1, pool=True),
            Convolution("conv2", 32, kernel=3, padding=1, pool=True),
            Convolution("conv3", 64, kernel=3, padding=1, pool=True),
            Convolution("transition", 32, kernel=1),
            Convolution("conv4", 64, kernel=3, padding=1),
        )

    def build(self, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> "nn.Module":
        """Return the torch module of the network."""
        from src.models.modules.cnn import CNN

        return CNN(channels, classes, self.convolutions(), norm, dropout, global_pooling="average")
