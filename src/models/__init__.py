"""The networks, one module per network.

Their torch code is in `src/models/modules`, so the command can check a network's sizes before it loads torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from src.bad_input import BadInput
from src.norms import Layout, Norm
from src.norms.none import NoNorm
from src.schema import Option, key, options_in

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class NormLayer:
    """Makes the norm layers of a network, and the activations after them; a network knows nothing else of its norm."""

    norm: Norm
    layout: Layout

    def __call__(self, channels: int, layout: Layout | None = None) -> "nn.Module":
        """Return a new norm layer; `layout` is the network's own, unless the layers of one network differ."""
        return self.norm.layer(channels, layout or self.layout)

    @property
    def is_none(self) -> bool:
        """Whether there is no norm.  Only then the layer before needs a bias, because most norms subtract it."""
        return isinstance(self.norm, NoNorm)

    def activation(self, channels: int) -> "nn.Module":
        """Return a new activation for the output of a norm layer: ReLU, unless the norm brings its own."""
        return self.norm.activation(channels)


@dataclass
class Network(Option):
    """One network, with the configuration keys that it reads."""

    title: ClassVar[str]
    sizes: ClassVar[Sequence[int]]
    """The widths in pixels of the square images that the network accepts, as a tuple or as a range(16, 1025)."""
    epochs: ClassVar[int]
    """The number of epochs that a job trains if `epochs` is null."""
    learning_rates: ClassVar[Mapping[str, float]]
    """The peak learning rate that a job uses if `optimizer.lr` is null, by the optimizer's name.

    For muon, lion and schedulefree, those of cnn, mlp and course were searched (benchmarks/LOG.md).  The other networks
    have rates after the papers: a fifth of adam's for lion, and adam's for schedulefree.  For muon, transformers and
    networks of timm have its author's 0.02, and other networks 0.06 like the searched ones.  Except for cnn, nadam's
    rates are adam's.
    """
    residual: ClassVar[bool] = False
    """Whether the network's blocks have shortcuts that skip them, so that `reg.stochastic_depth` works."""
    layout: ClassVar[Layout] = "map"
    """The shape of the input to the network's norm layers."""
    relu: ClassVar[bool] = True
    """Whether a ReLU follows each norm layer; a norm may replace it."""
    norm_after_each_layer: ClassVar[bool] = True
    """Whether a norm follows each hidden layer, so that larger weights do not change what the network computes."""

    def check_images(self, size: int, place: str) -> None:
        """Raise BadInput, which names the images' `place`, if the network does not accept `size` x `size` pixels."""
        if size not in self.sizes:
            problem = f"{place}: model={self.name} does not accept {size} x {size} pixels"
            others = [name for name, network in NETWORKS.items() if size in network.sizes and name != "timm"]
            other_text = f", or model={', '.join(others)}" if others else ""
            raise BadInput(problem, self.sizes_text() + other_text)

    def sizes_text(self) -> str:
        """Return the sizes of the images that the network accepts, such as `28 x 28 or 32 x 32 pixels`."""
        if not isinstance(self.sizes, range):
            return " or ".join(f"{side} x {side}" for side in self.sizes) + " pixels"
        smallest, largest, step = self.sizes[0], self.sizes[-1], self.sizes.step
        text = f"{smallest} x {smallest} to {largest} x {largest} pixels"
        return text if step == 1 else f"{text}, in steps of {step}"

    def check_norm(self, norm: Norm, size: int) -> None:
        """Raise BadInput if a norm layer cannot normalise its input for images of `size` x `size` pixels.

        Networks that accept only `sizes` at which every norm works need no such check.
        """

    def norm_layer(self, norm: Norm) -> NormLayer:
        """Return the function that makes the network's norm layers, for `build`."""
        return NormLayer(norm, self.layout)

    def norm_channels(self) -> Sequence[tuple[str, int]]:
        """Return the name and the number of channels of each norm layer, in the network's order."""
        raise NotImplementedError

    def build(self, channels: int, size: int, classes: int, norm: NormLayer, dropout: float) -> "nn.Module":
        """Return the network for images (N, channels, size, size); `initialise` sets its initial weights."""
        raise NotImplementedError

    def change_layers(self, model: "nn.Module") -> None:
        """Change the layers of a network that `build` returned, as the keys demand; this does nothing by default."""

    def initialise(self, model: "nn.Module", generator: "torch.Generator") -> None:
        """Set the initial weights, which depend only on `generator`, so all norms start with equal weights.

        The weights are normal with variance 2 / fan-in (He et al. 2015); the biases are 0.
        """
        from torch import nn

        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def set_stochastic_depth(self, model: "nn.Module", last_rate: float) -> None:
        """Give residual block l of the model's L blocks the rate l / L * `last_rate`, with which training skips it.

        This is equation 4 of Huang et al. 2016 (arXiv 1603.09382).
        """
        from src.models.modules.stochastic_depth import StochasticDepth

        blocks = [module for module in model.modules() if isinstance(module, StochasticDepth)]
        for number, block in enumerate(blocks, start=1):
            block.rate = number / len(blocks) * last_rate


@dataclass
class ConvolutionalNetwork(Network):
    """A network with convolutions, whose weights can be standardised (Qiao et al. 2019, arXiv 1903.10520)."""

    weight_standardization: bool = key(False)

    def change_layers(self, model: "nn.Module") -> None:
        """Standardise the weights of all convolutions, if `model.weight_standardization`."""
        if self.weight_standardization:
            from src.models.modules.weight_standardization import standardize_convolutions

            standardize_convolutions(model)


class Convolution(NamedTuple):
    """A convolution; kernel size, stride and padding are in pixels, and `pool` adds a 2 x 2 max pooling after it."""

    name: str
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: bool = False


@dataclass
class PlainNetwork(ConvolutionalNetwork):
    """A network without shortcuts: one convolution after another, each with the norm."""

    def convolutions(self) -> tuple[Convolution, ...]:
        """Return the convolutions of the network in order."""
        raise NotImplementedError

    def norm_channels(self) -> Sequence[tuple[str, int]]:
        """Return the name and the number of output channels of each convolution."""
        return [(layer.name, layer.channels) for layer in self.convolutions()]


NETWORKS: dict[str, type[Network]] = options_in(__name__, __path__, Network)
