"""Norms of tokens (N, T, C); torch's own layers expect the channels in the second dimension."""

from torch import Tensor, nn


class TokenBatchNorm(nn.BatchNorm1d):
    """BatchNorm of tokens (N, T, C), with one mean and one variance per channel, over all tokens of the batch."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the normalised tokens (N, T, C)."""
        return super().forward(tokens.flatten(0, 1)).view_as(tokens)


class TokenGroupNorm(nn.GroupNorm):
    """GroupNorm of tokens (N, T, C), with one mean and one variance per token and group of channels."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the normalised tokens (N, T, C)."""
        return super().forward(tokens.flatten(0, 1)).view_as(tokens)


class TokenInstanceNorm(nn.InstanceNorm1d):
    """InstanceNorm of tokens (N, T, C), with one mean and one variance per image and channel, over its tokens."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the normalised tokens (N, T, C)."""
        return super().forward(tokens.transpose(1, 2)).transpose(1, 2)
