"""The normalisation methods, one module per method; ARCHITECTURE.md explains how to add a method.

The modules import torch only inside `layer` and `activation`, so the command can check group counts before it loads
torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from src.bad_input import BadInput
from src.schema import Option, options_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

Layout = Literal["map", "tokens", "vector"]
"""The shape of a norm's input: `map` means (N, C, H, W), `tokens` (N, T, C) and `vector` (N, C)."""
NO_AXES: Mapping[Layout, str] = {"map": "nothing", "tokens": "nothing", "vector": "nothing"}
"""The axes of a norm without statistics."""


@dataclass
class Norm(Option):
    """One normalisation method, with the configuration keys that it reads.

    A layer computes `formula` for each value x of its input.  The statistics are those of the values that `axes` names,
    and the gain and the bias belong to the value's channel.  Gains start at 1 and biases at 0.
    A layer without a mean does not cancel a bias before it, but networks drop that bias before every norm.
    """

    title: ClassVar[str]
    axes: ClassVar[Mapping[Layout, str]]
    """A description of the values that share one mean and one variance, for each layout that the norm supports."""
    formula: ClassVar[str] = "(x - mean) / sqrt(variance + eps) * gain + bias"
    """What a layer computes."""
    parameters: ClassVar[str] = "2 C"
    """The number of parameters of a layer for C channels, with those of the activation that the norm brings."""
    unsupported: ClassVar[Mapping[Layout, str]] = {}
    """Why the norm does not support a layout; error messages quote it."""
    needs_two_channels: ClassVar[tuple[Layout, ...]] = ()
    """The layouts that need two channels or more: of one channel, only 0 or the sign of a value would be left."""
    replaces_relu: ClassVar[bool] = False
    """Whether `activation` is not ReLU; only networks with a ReLU after each norm can use such a norm."""
    uses_batch: ClassVar[bool] = False
    """Whether the output for an image depends on the other images of its batch."""
    evaluation: ClassVar[str] = "the same as in training"
    """A description of the statistics that evaluation uses."""
    colour: ClassVar[str]
    """The colour of the norm in figures, as `#rrggbb`; tests/norms/test_looks.py says which colours are distinct."""
    marker: ClassVar[str]
    """The matplotlib marker of the norm in figures."""

    def check_channels(self, channels: Sequence[tuple[str, int]], layout: Layout) -> None:
        """Raise BadInput, which names the layer, if the norm cannot normalise one of these layers (name, channels)."""
        for layer, count in channels:
            if layout in self.needs_two_channels and count == 1:
                problem = f"norm={self.name} cannot normalise layer {layer}, which has 1 channel"
                raise BadInput(problem, "2 channels or more")

    @classmethod
    def mismatch(cls, layout: Layout) -> str:
        """Return why the norm does not support a layout, or an empty text if it does."""
        return "" if layout in cls.axes else cls.unsupported.get(layout, f"it does not support the layout {layout}")

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return a new norm layer for activations with `channels` channels and one of the layouts in `axes`."""
        raise NotImplementedError

    def activation(self, channels: int) -> "nn.Module":
        """Return a new activation for the output of a layer with `channels` channels, in place of a network's ReLU."""
        from torch import nn

        return nn.ReLU(inplace=True)

    def check_training(self, batch_size: int, epochs: int) -> None:
        """Raise BadInput, which names the key, if the norm cannot train with this batch size or number of epochs."""

    def start_epoch(self, model: "nn.Module", epoch: int, epochs: int) -> bool:
        """Prepare a network in training mode for an epoch, and return whether its steps change with this epoch.

        A CUDA graph of earlier steps is then recorded anew.  This does nothing by default.
        """
        return False

    @property
    def has_statistics(self) -> bool:
        """Whether the layers divide by a statistic of their input, so that its scale does not matter."""
        return self.axes != NO_AXES

    @property
    def recomputes(self) -> bool:
        """Whether a job calls `settle` after its last epoch."""
        return False

    def settle(self, model: "nn.Module", batches: "Iterable[Tensor]") -> None:
        """Recompute the statistics that evaluation uses, from batches of training images (N, C, H, W).

        This does nothing by default, because most norms have no such statistics.
        """


NORMS: dict[str, type[Norm]] = options_in(__name__, __path__, Norm)
