"""Stochastic depth: training skips residual branches at random (Huang et al. 2016, arXiv 1603.09382)."""

import torch
from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """Sets the residual branch of an image to 0 with the probability `rate`, and divides the others by 1 - `rate`.

    The expected output is therefore the input, and evaluation changes nothing (the paper instead multiplies the branch
    by 1 - `rate` in evaluation).  Each image and each call draws anew from torch's default generator, as dropout does.
    torchvision.ops.StochasticDepth computes the same in its mode "row", but torchvision is slow to import.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0  # below 1; `Network.set_stochastic_depth` sets it

    def forward(self, branch: Tensor) -> Tensor:
        """Return a residual branch (N, ...) with some of its N rows set to 0."""
        if not self.training or self.rate == 0:
            return branch
        kept = torch.empty(len(branch), *[1] * (branch.ndim - 1), dtype=branch.dtype, device=branch.device)
        return branch * kept.bernoulli_(1 - self.rate).div_(1 - self.rate)
