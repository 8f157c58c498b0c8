"""Mix each image of a batch, and its label, with another image of the batch.

The other image is the next one in the batch.  This needs no random permutation, because the batch is in random order.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from src.augmentation.modules.squares import draw_rectangles


def mixup(
    images: Tensor, labels: Tensor, classes: int, alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return weighted means of two images (N, C, H, W), and the probabilities of the classes (N, classes).

    Each image draws its own weight from Beta(alpha, alpha) (Zhang et al. 2018).
    """
    weights = draw_beta(len(images), alpha, generator)
    mixed = torch.lerp(_next(images), images, weights[:, None, None, None])
    return mixed, _mix_labels(labels, classes, weights)


def cutmix(
    images: Tensor, labels: Tensor, classes: int, alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return images (N, C, H, W) with a rectangle of another image, and the probabilities (N, classes).

    The rectangle's sides are sqrt(1 - weight) of the image's, rounded down to an even number of pixels.  Each image
    draws its weight from Beta(alpha, alpha).  The probability of its label is the share of the image that is left (Yun
    et al. 2019).
    """
    weights = draw_beta(len(images), alpha, generator)
    heights, widths = (2 * (size / 2 * (1 - weights).sqrt()).long() for size in images.shape[2:])
    pasted = draw_rectangles(images, heights, widths, generator)
    mixed = torch.where(pasted, _next(images), images)
    return mixed, _mix_labels(labels, classes, 1 - pasted.float().mean(dim=(1, 2, 3)))


def draw_beta(count: int, alpha: float, generator: torch.Generator) -> Tensor:
    """Return `count` numbers from the distribution Beta(alpha, alpha).

    `torch.distributions.Beta` accepts no generator.  This draws T from Student's t distribution with 2 alpha degrees of
    freedom by Bailey's exact polar method (1994), and returns (1 + T / sqrt(2 alpha + T^2)) / 2 (Devroye 1996).
    """
    uniform, angle = torch.rand((2, count), generator=generator, device=generator.device)
    cosine = torch.cos(2 * math.pi * angle)
    ratio = torch.expm1(-uniform.log() / alpha) * cosine.square()  # T^2 / (2 alpha); may be infinite
    return (1 + cosine.sign() / (1 + 1 / ratio).sqrt()) / 2


def _next(images: Tensor) -> Tensor:
    """Return the next image of the batch for each image (N, C, H, W); the first image follows the last one."""
    order = torch.arange(1, len(images) + 1, device=images.device) % len(images)
    return images.permute(0, 2, 3, 1).index_select(0, order).permute(0, 3, 1, 2)  # `roll` changes the order in memory


def _mix_labels(labels: Tensor, classes: int, weights: Tensor) -> Tensor:
    """Return the probabilities (N, classes): the weights (N,) for the labels, and the rest for the next labels."""
    one_hot = F.one_hot(labels, classes).to(weights.dtype)
    return torch.lerp(one_hot.roll(-1, dims=0), one_hot, weights[:, None])
