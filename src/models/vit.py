"""The options and the norm layers of the Vision Transformer, without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.bad_input import BadInput
from src.models import Network, NormLayer
from src.schema import key

if TYPE_CHECKING:
    import torch
    from torch import nn

PATCH = 4  # pixels


@dataclass
class ViT(Network):
    """A small Vision Transformer (Dosovitskiy et al. 2021) for patches of 4 x 4 pixels, with the norm on its tokens.

    The norm precedes attention and the perceptron of each block, and follows the last block.  A class token and learned
    position embeddings are as in the paper.  With LayerNorm, colour images of 32 x 32 pixels and ten classes, it has
    683,242 parameters.
    """

    name: str = "vit"
    width: int = key(at_least=1, at_most=1024)
    depth: int = key(at_least=1, at_most=128)
    heads: int = key(at_least=1, at_most=1024)

    title = "Vision Transformer"
    residual = True
    sizes = range(8, 257, PATCH)
    layout = "tokens"
    relu = False
    norm_after_each_layer = False
    epochs = 60
    learning_rates: ClassVar = {
        **{"adam": 0.003, "adamw": 0.003, "rmsprop": 0.001, "sgd": 0.05},
        **{"nadam": 0.003, "muon": 0.02, "lion": 0.0006, "schedulefree": 0.003},
    }

    def check(self) -> None:
        """Raise BadInput unless the number of heads divides the width."""
        if self.width % self.heads:
            divisors = [n for n in range(1, self.width + 1) if self.width % n == 0]
            raise BadInput(
                f"model.heads={self.heads} does not divide model.width={self.width}",
                ", ".join(map(str, divisors)),
                f"model.heads={max(n for n in divisors if n < self.heads)}",
            )

    def norm_channels(self) -> Sequence[tuple[str, int]]:
        """Return the name and the width of the two norms of each block and of the last norm."""
        names = [f"block{block}.norm{norm}" for block in range(1, self.depth + 1) for norm in (1, 2)]
        return [(name, self.width) for name in (*names, "norm")]

    def build(self, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> "nn.Module":
        """Return the torch module of the network."""
        from src.models.modules.vit import ViT

        tokens = (size // PATCH) ** 2 + 1
        return ViT(channels, classes, PATCH, tokens, self.width, self.depth, self.heads, norm, dropout)

    def initialise(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Set the initial weights, which depend only on `generator`; the biases are 0.

        The weights of linear layers, the class token and the position embeddings are normal with standard deviation
        0.02, cut off at 2 (DeiT, Touvron et al. 2021, arXiv 2012.12877).  The weights of the patch embedding are normal
        with variance 1 / fan-in (Dosovitskiy et al. 2021).
        """
        from torch import nn

        from src.models.modules.vit import ViT

        assert isinstance(model, ViT)
        for parameter in (model.class_token, model.positions):
            nn.init.trunc_normal_(parameter, std=0.02, generator=generator)
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear", generator=generator)
            elif isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
