"""The normalisation methods, one module each; ARCHITECTURE.md says what a new one needs.

The modules import torch only inside `layer`, so the command can check group counts before torch is loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from src.schema import Option, options_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

Layout = Literal["map"]
"""What a norm is given: `map` is an activation (N, C, H, W)."""


@dataclass
class Norm(Option):
    """One normalisation method, with the keys that it reads.

    Every norm but `none` subtracts a mean, divides by the root of a variance plus `eps`, then applies a gain and a
    bias for each channel.  All have 2 C parameters a layer, so a comparison is about statistics and not about size.
    """

    title: ClassVar[str]
    axes: ClassVar[str]
    """The values of one mean and variance, in words."""
    uses_batch: ClassVar[bool] = False
    """Whether one image's output depends on the other images of its batch."""
    evaluation: ClassVar[str] = "the same as in training"
    colour: ClassVar[str]
    """`#rrggbb`, readable with any colour vision."""
    marker: ClassVar[str]
    """A matplotlib marker."""
    layouts: ClassVar[Sequence[Layout]] = ("map",)

    def check_channels(self, channels: Sequence[tuple[str, int]]) -> None:
        """Refuse a network whose layers (name, channels) this norm cannot normalise.

        Raises:
            BadInput: naming the layer.
        """

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return a new layer for activations with so many channels."""
        raise NotImplementedError

    def settle(self, model: "nn.Module", batches: "Iterable[Tensor]") -> None:
        """Recompute statistics for evaluation from batches of training images (N, C, H, W), after each epoch.

        Most norms have nothing to recompute.
        """


NORMS: dict[str, type[Norm]] = options_in(__name__, __path__, Norm)
