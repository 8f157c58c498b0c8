"""BatchNorm normalises each channel over all images of a batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class BatchNorm(Norm):
    """BatchNorm (Ioffe & Szegedy 2015) with one mean and one variance per channel, over the batch and both image axes.

    Evaluation uses running averages of the training batches' statistics.  Small batches give noisy statistics.
    """

    name: str = "bn"
    eps: float = key(above=0, at_most=1000)
    momentum: float = key(above=0, at_most=1)

    title = "BatchNorm"
    axes = "one channel of all images of the batch (N, H, W)"
    uses_batch = True
    evaluation = "running averages of training"
    colour, marker = "#0072b2", "o"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return torch's BatchNorm2d for `channels` channels."""
        from torch import nn

        return nn.BatchNorm2d(channels, eps=self.eps, momentum=self.momentum)
