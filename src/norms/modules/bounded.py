"""Bounded functions of single values, which take the place of a norm."""

import torch
from torch import Tensor, nn

from src.norms import Layout


class DynamicTanh(nn.Module):
    """tanh(alpha x) with one learned alpha, then a gain and a bias per channel; it keeps the shape of its input."""

    def __init__(self, channels: int, layout: Layout, alpha: float) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.shape = (channels, 1, 1) if layout == "map" else (channels,)

    def bounded(self, values: Tensor) -> Tensor:
        """Return values between -1 and 1."""
        return torch.tanh(self.alpha * values)

    def forward(self, values: Tensor) -> Tensor:
        """Return the values after the bounded function, gain and bias."""
        return self.bounded(values) * self.weight.view(self.shape) + self.bias.view(self.shape)


class DynamicErf(DynamicTanh):
    """erf(alpha x + shift) with one learned alpha and one learned shift, then a gain and a bias per channel."""

    def __init__(self, channels: int, layout: Layout, alpha: float) -> None:
        super().__init__(channels, layout, alpha)
        self.shift = nn.Parameter(torch.zeros(1))

    def bounded(self, values: Tensor) -> Tensor:
        """Return values between -1 and 1."""
        return torch.erf(self.alpha * values + self.shift)
