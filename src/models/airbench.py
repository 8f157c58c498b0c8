"""The options and the layers of the network of cifar10-airbench94, without torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.models import ConvolutionalNetwork, NormLayer
from src.schema import key

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass
class Airbench(ConvolutionalNetwork):
    """The network of airbench94 (Jordan 2024, arXiv 2404.00498), which is made to learn CIFAR-10 in seconds.

    Three differences make it comparable under all norms.  The first convolution is learned from random weights, instead
    of fixed weights that whiten the training images.  The norms have learned gains, and their biases have the same
    learning rate as all other parameters.
    With BatchNorm, colour images and ten classes it has 1,972,792 parameters.
    """

    name: str = "airbench"
    width: int = key(at_least=1, at_most=1024)

    title = "airbench94"
    sizes = range(17, 1025)
    relu = False
    epochs = 10
    learning_rates: ClassVar = {
        **{"adam": 0.002, "adamw": 0.002, "rmsprop": 0.0005, "sgd": 0.2},
        **{"nadam": 0.002, "muon": 0.06, "lion": 0.0004, "schedulefree": 0.002},
    }

    @property
    def blocks(self) -> tuple[int, int, int]:
        """The number of channels of each block."""
        return self.width, 4 * self.width, 4 * self.width

    def norm_channels(self) -> Sequence[tuple[str, int]]:
        """Return the name and the number of output channels of the two convolutions of each block."""
        return [
            (f"block{block}.conv{convolution}", channels)
            for block, channels in enumerate(self.blocks, start=1)
            for convolution in (1, 2)
        ]

    def build(self, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> "nn.Module":
        """Return the torch module of the network."""
        from src.models.modules.airbench import Airbench

        return Airbench(channels, classes, self.blocks, norm, dropout)

    def initialise(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Set the initial weights, which depend only on `generator`; the biases are 0.

        As in the source, the first filters of each 3 x 3 convolution pass one input channel each on unchanged, and all
        other weights are uniform with variance 1 / (3 fan-in), which is torch's default.  The first convolution has the
        weights of He et al. 2015.
        """
        from torch import nn

        from src.models.modules.airbench import Airbench

        assert isinstance(model, Airbench)
        for module in model.modules():
            if module is model.first:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
                if isinstance(module, nn.Conv2d):
                    nn.init.dirac_(module.weight[: module.in_channels])
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
