"""The networks, one module each.

Their torch code is in `src/models/modules`, so the command knows a network's sizes before torch is loaded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.bad_input import BadInput
from src.norms import Layout
from src.schema import Option, options_in

if TYPE_CHECKING:
    import torch
    from torch import nn

NormLayer = Callable[[int], "nn.Module"]
"""Returns a new norm layer for the given number of channels."""


@dataclass
class Network(Option):
    """One network, with the keys that it reads."""

    title: ClassVar[str]
    sizes: ClassVar[Sequence[int]]
    """The image sides in pixels that it takes."""
    layout: ClassVar[Layout] = "map"
    """What its norms are given."""

    def check_images(self, size: int, place: str) -> None:
        """Refuse images, `size` pixels a side, that the network cannot take.

        Raises:
            BadInput: naming the place of the images.
        """
        if size not in self.sizes:
            sizes = " or ".join(f"{side} x {side}" for side in self.sizes)
            raise BadInput(f"{place}: model={self.name} takes no images of {size} x {size} pixels", f"{sizes} pixels")

    def norm_channels(self) -> Sequence[tuple[str, int]]:
        """Return each norm layer's name and number of channels, in order."""
        raise NotImplementedError

    def build(self, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> "nn.Module":
        """Return the network for images (N, channels, size, size); `initialise` sets its first weights."""
        raise NotImplementedError

    def initialise(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Set the first weights from `generator` alone, the same under every norm.

        Weights are normal with variance 2 / fan-in (He et al. 2015), biases zero.
        """
        from torch import nn

        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


NETWORKS: dict[str, type[Network]] = options_in(__name__, __path__, Network)
