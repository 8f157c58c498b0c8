"""The torch modules of the network of cifar10-airbench94."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from src.models import NormLayer

PATCH = 2  # pixels: width of the first convolution's filters
LOGIT_SCALE = 1 / 9


class Block(nn.Module):
    """Two 3 x 3 convolutions, each followed by norm and GELU, with 2 x 2 max pooling before the first norm."""

    def __init__(self, inputs: int, outputs: int, norm: NormLayer) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=norm.is_none)
        self.norm1 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=norm.is_none)
        self.norm2 = norm(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, outputs, H / 2, W / 2) of features (N, inputs, H, W)."""
        features = F.gelu(self.norm1(F.max_pool2d(self.conv1(images), 2)))
        return F.gelu(self.norm2(self.conv2(features)))


class Airbench(nn.Module):
    """A 2 x 2 convolution with GELU, three blocks, global max pooling, dropout and a linear classifier.

    It takes images (N, channels, H, W) of at least 17 x 17 pixels and returns logits (N, classes).
    """

    def __init__(self, channels: int, classes: int, blocks: Sequence[int], norm: NormLayer, dropout: float) -> None:
        super().__init__()
        inputs = 2 * channels * PATCH**2  # the source has as many filters: each whitened direction and its negative
        self.first = nn.Conv2d(channels, inputs, PATCH)
        self.blocks = nn.Sequential()
        for outputs in blocks:
            self.blocks.append(Block(inputs, outputs, norm))
            inputs = outputs
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(inputs, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, H, W)."""
        features: Tensor = self.blocks(F.gelu(self.first(images)))  # (N, 4 * width, 3, 3) for 32 x 32 pixels
        pooled = F.max_pool2d(features, features.shape[2:]).flatten(1)
        logits: Tensor = self.classifier(self.dropout(pooled)) * LOGIT_SCALE
        return logits
