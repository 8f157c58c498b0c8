"""The torch modules of the Vision Transformer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models import NormLayer
from src.models.modules.stochastic_depth import StochasticDepth


class Attention(nn.Module):
    """Self-attention with several heads (Vaswani et al. 2017) among the tokens (N, T, width) of an image."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)  # queries, keys and values of all heads
        self.projection = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (N, T, width)."""
        queries, keys, values = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(queries, keys, values)  # (N, heads, T, width / heads)
        projected: Tensor = self.dropout(self.projection(attended.transpose(1, 2).flatten(2)))
        return projected


class Block(nn.Module):
    """Attention and a perceptron with four times as many hidden units, each after a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, norm: NormLayer, dropout: float) -> None:
        super().__init__()
        self.norm1 = norm(width)
        self.attention = Attention(width, heads, dropout)
        self.norm2 = norm(width)
        self.perceptron = nn.Sequential(
            *(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout)),
            *(nn.Linear(4 * width, width), nn.Dropout(dropout)),
        )
        self.stochastic_depth = StochasticDepth()  # both branches have the rate of their block, as in timm

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (N, T, width)."""
        tokens = tokens + self.stochastic_depth(self.attention(self.norm1(tokens)))
        mixed: Tensor = tokens + self.stochastic_depth(self.perceptron(self.norm2(tokens)))
        return mixed


class ViT(nn.Module):
    """A Vision Transformer that classifies the class token; dropout acts where Dosovitskiy et al. 2021 apply it.

    It takes images (N, channels, size, size) and returns logits (N, classes).  `tokens` counts the patches of an image
    and the class token.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        patch: int,
        tokens: int,
        width: int,
        depth: int,
        heads: int,
        norm: NormLayer,
        dropout: float,
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, tokens, width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(width, heads, norm, dropout) for _ in range(depth)))
        self.norm = norm(width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, size, size)."""
        patches = self.patches(images).flatten(2).transpose(1, 2)  # (N, T - 1, width)
        tokens = torch.cat([self.class_token.expand(len(patches), -1, -1), patches], dim=1)
        tokens = self.norm(self.blocks(self.dropout(tokens + self.positions)))
        logits: Tensor = self.classifier(tokens[:, 0])
        return logits
