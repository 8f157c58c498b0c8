"""The options and the norm layers of the residual networks of He et al. 2015 for CIFAR-10, without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.models import ConvolutionalNetwork, NormLayer
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class ResNet(ConvolutionalNetwork):
    """The residual networks for CIFAR-10 of He et al. 2015 (arXiv 1512.03385, section 4.2).

    A network of depth 6n + 2 has three stages of n blocks with 16, 32 and 64 channels.  With BatchNorm, colour images
    and ten classes it has 269,722 (depth 20), 464,154 (32), 658,586 (44), 853,018 (56) or 1,727,962 (110) parameters.
    The paper reports test errors on CIFAR-10 of 8.75, 7.51, 7.17, 6.97 and 6.43 %.

    With `norm=none`, each block scales its residual branch with one learned number that starts at 0 (SkipInit, De &
    Smith 2020, arXiv 2002.10444), because deep residual networks without a norm do not train from He's initial weights.
    """

    name: str = "resnet"
    depth: int = key(choices=("20", "32", "44", "56", "110"))

    title = "residual network"
    residual = True
    sizes = range(16, 1025)
    epochs = 30
    learning_rates: ClassVar = {
        **{"adam": 0.01, "adamw": 0.01, "rmsprop": 0.003, "sgd": 0.4},
        **{"nadam": 0.01, "muon": 0.06, "lion": 0.002, "schedulefree": 0.01},
    }
    stages = (16, 32, 64)
    """The number of channels of each stage."""

    def norm_channels(self) -> Sequence[tuple[str, int]]:
        """Return the names and the numbers of output channels of the stem and of each block's two convolutions."""
        blocks = [(stage, block) for stage in (1, 2, 3) for block in range(1, self.blocks_per_stage + 1)]
        return [("stem", self.stages[0])] + [
            (f"stage{stage}.block{block}.conv{convolution}", self.stages[stage - 1])
            for stage, block in blocks
            for convolution in (1, 2)
        ]

    @property
    def blocks_per_stage(self) -> int:
        """The paper's n: a third of the blocks, which have two convolutions each; the stem and classifier add 2."""
        return (self.depth - 2) // 6

    def build(self, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> "nn.Module":
        """Return the torch module of the network."""
        from src.models.modules.resnet import ResNet

        return ResNet(channels, classes, self.stages, self.blocks_per_stage, norm, dropout)
