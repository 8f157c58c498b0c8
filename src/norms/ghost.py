"""Ghost BatchNorm normalises each channel over a chunk of a batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.bad_input import BadInput
from src.norms import Layout
from src.norms.bn import BatchNorm
from src.schema import key

if TYPE_CHECKING:
    from torch import nn


@dataclass
class GhostBatchNorm(BatchNorm):
    """BatchNorm over chunks of `norm.chunk` consecutive images of the batch (Hoffer et al. 2017, arXiv 1705.08741).

    In training, y = gain (x - mean) / sqrt(variance + eps) + bias, with the mean and the variance of the image's chunk.
    Evaluation uses running averages, as BatchNorm; each chunk in turn moves them by `norm.momentum` (Algorithm 1).
    The noise of small chunks regularises: the paper uses chunks of 128 images, and 16 to 64 are also common.  With
    chunks of a few images, evaluation differs much from training, and `norm.stats=precise` or `frozen` can help.
    With one chunk per batch, this is BatchNorm.
    """

    name: str = "ghost"
    chunk: int = key(at_least=2)

    title = "Ghost BatchNorm"
    axes: ClassVar = {
        "map": "one channel of a chunk of images (N/chunks, H, W)",
        "tokens": "one channel of all tokens of a chunk of images (N/chunks, T)",
        "vector": "one channel of a chunk of images (N/chunks)",
    }
    colour, marker = "#34c8d7", "P"

    def check_training(self, batch_size: int, epochs: int) -> None:
        """Raise BadInput unless the chunk divides the batch, and the statistics can change in some epoch."""
        super().check_training(batch_size, epochs)
        if batch_size % self.chunk:
            divisors = [n for n in range(2, batch_size + 1) if batch_size % n == 0]
            problem = f"norm.chunk={self.chunk} does not divide data.batch_size={batch_size}"
            if not divisors:
                raise BadInput(problem, "data.batch_size=2 or more", f"data.batch_size={self.chunk}")
            suggestion = max((n for n in divisors if n < self.chunk), default=divisors[0])
            raise BadInput(problem, ", ".join(map(str, divisors)), f"norm=ghost norm.chunk={suggestion}")

    def layer(self, channels: int, layout: Layout) -> "nn.Module":
        """Return BatchNorm that normalises chunks of `norm.chunk` images in training."""
        from src.norms.modules import ghost

        kinds = {"map": ghost.GhostBatchNorm2d, "tokens": ghost.GhostTokenBatchNorm, "vector": ghost.GhostBatchNorm1d}
        return kinds[layout](channels, self.chunk, eps=self.eps, momentum=self.momentum)
