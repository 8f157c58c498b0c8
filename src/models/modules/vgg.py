"""The torch module of VGG-A."""

from collections.abc import Sequence

from torch import Tensor, nn

from src.models import Convolution, NormLayer


class VGG(nn.Module):
    """Convolutions with norm, activation and pooling, global average pooling, and three linear layers with dropout.

    It takes images (N, channels, H, W) of at least 32 x 32 pixels and returns logits (N, classes).
    """

    def __init__(
        self, channels: int, classes: int, convolutions: Sequence[Convolution], norm: NormLayer, dropout: float
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        for layer in convolutions:
            convolution = nn.Conv2d(channels, layer.channels, layer.kernel, padding=layer.padding, bias=norm.is_none)
            block = nn.Sequential(convolution, norm(layer.channels), norm.activation(layer.channels))
            if layer.pool:
                block.append(nn.MaxPool2d(2))
            self.features.add_module(layer.name, block)
            channels = layer.channels
        self.classifier = nn.Sequential(
            *(nn.Linear(channels, channels), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            *(nn.Linear(channels, channels), nn.ReLU(inplace=True), nn.Dropout(dropout)),
            nn.Linear(channels, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, H, W)."""
        features: Tensor = self.features(images)  # (N, 8 * width, 1, 1) for images of 32 x 32 pixels
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits
