"""Weight standardisation of convolutions."""

import torch
from torch import Tensor, nn

EPS = 1e-5  # added to the variance, as in timm; the paper does not say where it adds its epsilon


class StandardizedConv2d(nn.Conv2d):
    """A convolution that standardises the weights of each filter (Qiao et al. 2019, arXiv 1903.10520).

    It uses (w - mean) / sqrt(variance + 1e-5), with the mean and the variance over the filter's inputs and pixels.
    The parameter `weight` holds the weights w before this step; the optimizer and the penalties change them.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return the convolution of images (N, C, H, W) with the standardised weights."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        outputs: Tensor = self._conv_forward(images, (self.weight - mean) * (variance + EPS).rsqrt(), self.bias)
        return outputs


def standardize_convolutions(model: nn.Module) -> None:
    """Standardise the weights of all convolutions of a model; its parameters and their names stay the same."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.__class__ = StandardizedConv2d  # keeps the parameters; torch's `parametrize` also does this
