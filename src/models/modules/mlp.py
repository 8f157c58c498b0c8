"""The torch module of the multilayer perceptron."""

from torch import Tensor, nn

from src.models import NormLayer


class MLP(nn.Module):
    """Hidden layers with norm and activation, then dropout and a linear classifier.

    It takes images (N, C, H, W), flattens each to a vector of `pixels` = C * H * W values, and returns logits
    (N, classes).
    """

    def __init__(
        self, pixels: int, classes: int, depth: int, width: int, activation: str, norm: NormLayer, dropout: float
    ) -> None:
        super().__init__()
        self.hidden, inputs = nn.Sequential(), pixels
        for layer in range(1, depth + 1):
            linear = nn.Linear(inputs, width, bias=norm.is_none)
            function = norm.activation(width) if activation == "relu" else nn.Sigmoid()
            self.hidden.add_module(f"hidden{layer}", nn.Sequential(linear, norm(width), function))
            inputs = width
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, C, H, W)."""
        features: Tensor = self.hidden(images.flatten(1))  # (N, width)
        logits: Tensor = self.classifier(self.dropout(features))  # (N, classes)
        return logits
