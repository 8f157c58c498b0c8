"""BatchNorm normalises each channel over all images or tokens of a batch."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.bad_input import BadInput
from src.norms import Layout, Norm
from src.schema import key

if TYPE_CHECKING:
    from torch import Tensor, nn

FROZEN_SHARE = 0.2  # as in Wu & Johnson 2021, who freeze the statistics for the last 20 of 100 epochs


@dataclass
class BatchNorm(Norm):
    """BatchNorm (Ioffe & Szegedy 2015) with one mean and one variance per channel, over the batch and both image axes.

    For tokens, the batch and the tokens share them (Shen et al. 2020, PowerNorm, call this BN); for vectors, the batch.
    In training, y = gain (x - mean) / sqrt(variance + eps) + bias.  Small batches give noisy statistics.
    Evaluation uses one mean and variance per channel, which `norm.stats` chooses (Wu & Johnson 2021, arXiv 2105.07576).

    `ema` uses running averages of the training batches' statistics, r <- (1 - momentum) r + momentum s.

    `precise` uses the mean and the variance over the whole training split, computed after the last epoch with the final
    weights.  The images are not augmented, because those of evaluation are not.  Training is the same as with `ema`, so
    the job also records the results of `ema`, as `test/accuracy_ema`.

    `frozen` uses running averages, with which training itself normalises in its last epochs.  They no longer change
    then, and the gradients treat them as constants; gains, biases and weights still learn.

    With batches of 2 images, the paper gains 3.5 points with `precise`, and more with `frozen`.
    """

    name: str = "bn"
    eps: float = key(above=0, at_most=1000)
    momentum: float = key(above=0, at_most=1)
    stats: str = key("ema", choices=("ema", "precise", "frozen"))
    frozen_share: float = key(FROZEN_SHARE, above=0, below=1)

    title = "BatchNorm"
    axes: ClassVar = {
        "map": "one channel of all images of the batch (N, H, W)",
        "tokens": "one channel of all tokens of the batch (N, T)",
        "vector": "one channel of all images of the batch (N)",
    }
    uses_batch = True
    evaluation = "running averages of training"
    colour, marker = "#0072b2", "o"

    def check(self) -> None:
        """Raise BadInput if `norm.frozen_share` has a value that no job uses."""
        if self.stats != "frozen" and self.frozen_share != FROZEN_SHARE:
            problem = f"norm.frozen_share={self.frozen_share:g} has no effect with norm.stats={self.stats}"
            raise BadInput(problem, "norm.stats=frozen", f"norm.stats=frozen norm.frozen_share={self.frozen_share:g}")

    def check_training(self, batch_size: int, epochs: int) -> None:
        """Raise BadInput if `norm.stats=frozen` leaves no epoch in which the statistics can change."""
        if self.stats == "frozen" and self.frozen_epochs(epochs) >= epochs:
            problem = f"norm.stats=frozen norm.frozen_share={self.frozen_share:g} freezes all epochs (epochs={epochs})"
            raise BadInput(problem, "epochs=2 or more, and a smaller norm.frozen_share", f"epochs={max(epochs, 5)}")

    def frozen_epochs(self, epochs: int) -> int:
        """Return how many of the last epochs have frozen statistics: the share of all epochs, rounded, at least 1."""
        return max(1, round(self.frozen_share * epochs))

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return torch's BatchNorm2d for maps, BatchNorm1d for vectors, or BatchNorm1d over all tokens."""
        from torch import nn

        from src.norms.modules.tokens import TokenBatchNorm

        kinds = {"map": nn.BatchNorm2d, "tokens": TokenBatchNorm, "vector": nn.BatchNorm1d}
        return kinds[layout](channels, eps=self.eps, momentum=self.momentum)

    def start_epoch(self, model: "nn.Module", epoch: int, epochs: int) -> bool:
        """Put the norm layers into evaluation mode in the last epochs, if `norm.stats=frozen`."""
        first_frozen = epochs - self.frozen_epochs(epochs) + 1
        if self.stats != "frozen" or epoch < first_frozen:
            return False
        from src.norms.modules.statistics import norm_layers

        for layer in norm_layers(model):
            layer.eval()
        return epoch == first_frozen

    @property
    def recomputes(self) -> bool:
        """Whether a job recomputes the statistics after its last epoch: only with `norm.stats=precise`."""
        return self.stats == "precise"

    def settle(self, model: "nn.Module", batches: "Iterable[Tensor]") -> None:
        """Set the running averages to the mean and the variance over all batches, for every value of `norm.stats`."""
        from src.norms.modules.statistics import recompute_statistics

        recompute_statistics(model, batches)
