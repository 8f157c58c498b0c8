"""Filter response normalisation and the activation that belongs to it."""

import torch
from torch import Tensor, nn


class FilterResponseNorm(nn.Module):
    """A map's values divided by the root mean square of their channel in their image, then gain and bias."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised maps (N, C, H, W)."""
        mean_squares = maps.square().mean(dim=(2, 3), keepdim=True, dtype=self.weight.dtype)  # (N, C, 1, 1)
        gains = torch.rsqrt(mean_squares + self.eps) * self.weight[:, None, None]
        return maps * gains + self.bias[:, None, None]


class ThresholdedLinearUnit(nn.Module):
    """max(x, threshold) with a learned threshold per channel, which starts at 0, so the unit starts as ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (N, C, H, W)."""
        return torch.maximum(maps, self.threshold[:, None, None])
