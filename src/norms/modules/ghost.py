"""BatchNorm that normalises each chunk of a batch on its own in training."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from src.norms.modules.tokens import TokenBatchNorm


class _Chunks(_BatchNorm):
    """Chunks of `chunk` consecutive images, in front of a BatchNorm layer of any layout."""

    def __init__(self, channels: int, chunk: int, **options: Any) -> None:
        super().__init__(channels, **options)
        self.chunk = chunk

    def forward(self, values: Tensor) -> Tensor:
        """Return the normalised values; in training, each chunk in turn updates the running statistics."""
        if not self.training:
            return super().forward(values)
        return torch.cat(list(map(super().forward, values.split(self.chunk))))


class GhostBatchNorm2d(_Chunks, nn.BatchNorm2d):
    """Ghost BatchNorm of maps (N, C, H, W)."""


class GhostBatchNorm1d(_Chunks, nn.BatchNorm1d):
    """Ghost BatchNorm of vectors (N, C)."""


class GhostTokenBatchNorm(_Chunks, TokenBatchNorm):
    """Ghost BatchNorm of tokens (N, T, C)."""
