"""The option `model=timm`, which trains any network of the library timm that has norm layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from src.bad_input import BadInput
from src.models import ConvolutionalNetwork, NormLayer
from src.norms import NORMS, Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass
class Timm(ConvolutionalNetwork):
    """The network `model.arch` of timm (Wightman 2019), without pretrained weights and with the norm in all its layers.

    The norm replaces each norm layer of the network, of whatever kind.  timm decides which other layers have a bias;
    most of its convolutions have none, also with `norm=none`.
    """

    name: str = "timm"
    arch: str = key(example="resnet18")

    title = "network of timm"
    packages = ("timm",)
    sizes = range(8, 1025)
    relu = False
    norm_after_each_layer = False
    epochs = 30
    learning_rates: ClassVar = {
        **{"adam": 0.001, "adamw": 0.001, "rmsprop": 0.0003, "sgd": 0.05},
        **{"nadam": 0.001, "muon": 0.02, "lion": 0.0002, "schedulefree": 0.001},
    }

    def check(self) -> None:
        """Raise BadInput if timm is missing or does not know the network, or if its layers do not fit the keys."""
        if find_spec("timm") is None:
            raise BadInput("model=timm needs the package timm", write="pip install 'normlab[timm]'")
        from src.models.modules.timm import check_arch, check_convolutions

        check_arch(self.arch)
        if self.weight_standardization:
            check_convolutions(self.arch)

    def check_images(self, size: int, place: str) -> None:
        """Raise BadInput, which names the images' `place`, if the network does not accept `size` x `size` pixels."""
        from src.models.modules.timm import find_norms

        super().check_images(size, place)
        try:
            find_norms(self.arch, size)
        except BadInput as error:
            raise error.with_location(place) from error

    def check_norm(self, norm: Norm, size: int) -> None:
        """Raise BadInput if a norm layer cannot normalise its input for images of `size` x `size` pixels.

        A map of one pixel has one value per channel, so it counts as a vector.
        """
        from src.models.modules.timm import find_norms

        layers: dict[Layout, list[tuple[str, int]]] = {}
        for layer in find_norms(self.arch, size):
            layers.setdefault(layer.effective_layout, []).append((layer.name, layer.channels))
        for layout, channels in layers.items():
            if reason := norm.mismatch(layout):
                problem = f"norm={norm.name} does not work with layer {channels[0][0]} of model.arch={self.arch}"
                supported = ", ".join(
                    name for name, kind in NORMS.items() if layers.keys() <= kind.axes.keys() and not kind.replaces_relu
                )
                raise BadInput(f"{problem} on {size} x {size} pixels: {reason}", supported, "norm=none")
            norm.check_channels(channels, layout)

    def norm_channels(self) -> Sequence[tuple[str, int]]:
        """Return the name in timm and the number of channels of each norm layer; this imports torch."""
        from src.models.modules.timm import find_norms

        return [(layer.name, layer.channels) for layer in find_norms(self.arch)]

    def build(self, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> "nn.Module":
        """Return timm's network with the norm in place of its own norm layers."""
        from src.models.modules.timm import TimmNetwork

        return TimmNetwork(self.arch, channels, size, classes, norm, dropout)

    def initialise(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Set the initial weights that timm gives the network; they depend only on `generator`."""
        from src.models.modules.timm import TimmNetwork

        assert isinstance(model, TimmNetwork)
        model.reset(generator)
