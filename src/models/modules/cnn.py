"""The torch module of the plain convolutional networks `cnn` and `course`."""

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from src.models import Convolution, NormLayer


class CNN(nn.Module):
    """A network of convolutions with norm and activation, then global pooling, dropout and a linear classifier.

    Max pooling precedes the norm, which then has a quarter of the pixels to normalise.
    It takes images (N, channels, H, W) and returns logits (N, classes).
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        convolutions: Sequence[Convolution],
        norm: NormLayer,
        dropout: float,
        global_pooling: Literal["max", "average"] = "max",
    ) -> None:
        super().__init__()
        self.global_pooling = global_pooling
        self.blocks = nn.Sequential()
        for layer in convolutions:
            block = nn.Sequential()
            sizes = (layer.kernel, layer.stride, layer.padding)
            block.append(nn.Conv2d(channels, layer.channels, *sizes, bias=norm.is_none))
            if layer.pool:
                block.append(nn.MaxPool2d(2))
            block.append(norm(layer.channels))
            block.append(norm.activation(layer.channels))
            self.blocks.add_module(layer.name, block)
            channels = layer.channels
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, C, H, W)."""
        features: Tensor = self.blocks(images)  # (N, C, H, W)
        pool = F.max_pool2d if self.global_pooling == "max" else F.avg_pool2d
        pooled = pool(features, features.shape[2:]).flatten(1)  # (N, C)
        logits: Tensor = self.classifier(self.dropout(pooled))  # (N, classes)
        return logits
