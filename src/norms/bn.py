"""BatchNorm normalises each channel over all images or tokens of a batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class BatchNorm(Norm):
    """BatchNorm (Ioffe & Szegedy 2015) with one mean and one variance per channel, over the batch and both image axes.

    For tokens, the batch and the tokens share them (Shen et al. 2020, PowerNorm, call this BN); for vectors, the batch.
    Evaluation uses running averages of the training batches' statistics.  Small batches give noisy statistics.
    """

    name: str = "bn"
    eps: float = key(above=0, at_most=1000)
    momentum: float = key(above=0, at_most=1)

    title = "BatchNorm"
    axes: ClassVar = {
        "map": "one channel of all images of the batch (N, H, W)",
        "tokens": "one channel of all tokens of the batch (N, T)",
        "vector": "one channel of all images of the batch (N)",
    }
    uses_batch = True
    evaluation = "running averages of training"
    colour, marker = "#0072b2", "o"

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return torch's BatchNorm2d for maps, BatchNorm1d for vectors, or BatchNorm1d over all tokens."""
        from torch import nn

        from src.norms.modules.tokens import TokenBatchNorm

        kinds = {"map": nn.BatchNorm2d, "tokens": TokenBatchNorm, "vector": nn.BatchNorm1d}
        return kinds[layout](channels, eps=self.eps, momentum=self.momentum)
