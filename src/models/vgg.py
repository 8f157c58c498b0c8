"""The options and the layers of VGG-A for small images, without torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.models import Convolution, NormLayer, PlainNetwork
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class VGG(PlainNetwork):
    """VGG-A (Simonyan & Zisserman 2015), which has 11 layers, with an optional norm after each convolution.

    Its three linear layers have 512, 512 and `classes` units, because five poolings leave one pixel of an image of
    32 x 32.  Courses use this network to compare the loss surface with and without BatchNorm (Santurkar et al. 2018).
    With colour images and ten classes it has 9,753,674 parameters, or 9,750,922 without a norm.
    """

    name: str = "vgg"
    width: int = key(at_least=1, at_most=1024)

    title = "VGG-A"
    sizes = range(32, 1025)
    epochs = 30
    learning_rates: ClassVar = {
        **{"adam": 0.001, "adamw": 0.001, "rmsprop": 0.0003, "sgd": 0.05},
        **{"nadam": 0.001, "muon": 0.06, "lion": 0.0002, "schedulefree": 0.001},
    }

    def convolutions(self) -> tuple[Convolution, ...]:
        """Return the eight convolutions in order; pooling follows the norm and ReLU."""
        multiples = (1, 2, 4, 4, 8, 8, 8, 8)
        pooled = (True, True, False, True, False, True, False, True)
        return tuple(
            Convolution(f"conv{number}", multiple * self.width, kernel=3, padding=1, pool=pool)
            for number, (multiple, pool) in enumerate(zip(multiples, pooled, strict=True), start=1)
        )

    def build(self, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> "nn.Module":
        """Return the torch module of the network."""
        from src.models.modules.vgg import VGG

        return VGG(channels, classes, self.convolutions(), norm, dropout)
