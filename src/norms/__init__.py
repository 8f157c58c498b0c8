"""The normalisation methods, one module per method; ARCHITECTURE.md explains how to add a method.

The modules import torch only inside `layer`, so the command can check group counts before it loads torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from src.schema import Option, options_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

Layout = Literal["map", "tokens", "vector"]
"""The shape of a norm's input: `map` means (N, C, H, W), `tokens` (N, T, C) and `vector` (N, C)."""


@dataclass
class Norm(Option):
    """One normalisation method, with the configuration keys that it reads.

    Every norm except `none` subtracts a mean, divides by the square root of a variance plus `eps`, then applies a gain
    and a bias per channel.  All of these have 2 C parameters per layer, so norms differ only in their statistics.
    """

    title: ClassVar[str]
    axes: ClassVar[Mapping[Layout, str]]
    """A description of the values that share one mean and one variance, for each layout that the norm supports."""
    unsupported: ClassVar[Mapping[Layout, str]] = {}
    """Why the norm does not support a layout; error messages quote it."""
    uses_batch: ClassVar[bool] = False
    """Whether the output for an image depends on the other images of its batch."""
    evaluation: ClassVar[str] = "the same as in training"
    """A description of the statistics that evaluation uses."""
    colour: ClassVar[str]
    """The colour of the norm in figures, as `#rrggbb`; people with colour blindness can distinguish all norms."""
    marker: ClassVar[str]
    """The matplotlib marker of the norm in figures."""

    def check_channels(self, channels: Sequence[tuple[str, int]], layout: Layout) -> None:
        """Check that the norm can normalise the layers of a network, given as pairs of name and number of channels.

        Raises:
            BadInput: if it cannot normalise a layer; the message names this layer.
        """

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return a new norm layer for activations with `channels` channels and one of the layouts in `axes`."""
        raise NotImplementedError

    def settle(self, model: "nn.Module", batches: "Iterable[Tensor]") -> None:
        """Recompute, after an epoch, the statistics that evaluation uses, from batches of training images (N, C, H, W).

        This does nothing by default, because most norms have no such statistics.
        """


NORMS: dict[str, type[Norm]] = options_in(__name__, __path__, Norm)
