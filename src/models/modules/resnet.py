"""The torch modules of the residual networks for CIFAR-10."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models import NormLayer
from src.models.modules.stochastic_depth import StochasticDepth


class Block(nn.Module):
    """Two 3 x 3 convolutions, each with the norm, and a shortcut without parameters (option A of He et al. 2015).

    If the number of channels grows, the stride is 2: the shortcut drops every other pixel and adds channels of zeros.
    """

    def __init__(self, inputs: int, outputs: int, norm: NormLayer) -> None:
        super().__init__()
        self.stride, self.new_channels = 1 if inputs == outputs else 2, outputs - inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, self.stride, padding=1, bias=norm.is_none)
        self.norm1 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=norm.is_none)
        self.norm2 = norm(outputs)
        self.activation1, self.activation2 = norm.activation(outputs), norm.activation(outputs)
        self.scale = nn.Parameter(torch.zeros(())) if norm.is_none else None  # SkipInit (De & Smith 2020)
        self.stochastic_depth = StochasticDepth()

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, outputs, H / stride, W / stride) of features (N, inputs, H, W)."""
        branch = self.activation1(self.norm1(self.conv1(images)))
        branch = self.norm2(self.conv2(branch))
        if self.scale is not None:
            branch = self.scale * branch
        features: Tensor = self.activation2(self.stochastic_depth(branch) + self.shortcut(images))
        return features

    def shortcut(self, images: Tensor) -> Tensor:
        """Return the features with the shape of the block's output."""
        if self.stride == 1:
            return images
        return F.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.new_channels))


class ResNet(nn.Module):
    """A 3 x 3 convolution, three stages of residual blocks, global average pooling, dropout and a linear classifier.

    It takes images (N, channels, H, W) and returns logits (N, classes).
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        stages: Sequence[int],
        blocks_per_stage: int,
        norm: NormLayer,
        dropout: float,
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d(channels, stages[0], 3, padding=1, bias=norm.is_none)
        self.stem = nn.Sequential(convolution, norm(stages[0]), norm.activation(stages[0]))
        self.blocks, inputs = nn.Sequential(), stages[0]
        for outputs in stages:
            for _ in range(blocks_per_stage):
                self.blocks.append(Block(inputs, outputs, norm))
                inputs = outputs
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, H, W)."""
        features: Tensor = self.blocks(self.stem(images))  # (N, 64, H / 4, W / 4)
        logits: Tensor = self.classifier(self.dropout(features.mean(dim=(2, 3))))  # (N, classes)
        return logits
