"""The option `augmentation=mixup`, which crops and flips the images, and then averages each with another one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.augmentation import Augment
from src.augmentation.crop_flip import CropFlip
from src.schema import key

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class Mixup(CropFlip):
    """Mixup (Zhang et al. 2018): weighted means of two images and of their labels; each image draws its own weight."""

    name: str = "mixup"
    alpha: float = key(above=0, at_most=1000)  # named as in the authors' code

    title = "mixup"

    def build(self, classes: int, mean: "Tensor", deviation: "Tensor") -> Augment:
        """Return the function that crops, flips and mixes the images; its target is probabilities (N, classes)."""
        from src.augmentation.modules.mixtures import mixup

        crop_and_flip = super().build(classes, mean, deviation)

        def augment(images: "Tensor", labels: "Tensor", generator: "torch.Generator") -> "tuple[Tensor, Tensor]":
            images, labels = crop_and_flip(images, labels, generator)
            return mixup(images, labels, classes, self.alpha, generator)

        return augment
