"""The option `augmentation=cutmix`, which crops and flips each image, and then pastes a part of another one into it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.augmentation import Augment
from src.augmentation.crop_flip import CropFlip
from src.schema import key

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class CutMix(CropFlip):
    """CutMix (Yun et al. 2019): a rectangle of another image replaces a part of each image, and mixes the labels.

    Every image is mixed.  The authors' code for CIFAR mixes a batch with probability 0.5.
    """

    name: str = "cutmix"
    beta: float = key(above=0, at_most=1000)  # named as in the authors' code

    title = "CutMix"

    def build(self, classes: int, mean: "Tensor", deviation: "Tensor") -> Augment:
        """Return the function that crops, flips and mixes the images; its target is probabilities (N, classes)."""
        from src.augmentation.modules.mixtures import cutmix

        crop_and_flip = super().build(classes, mean, deviation)

        def augment(images: "Tensor", labels: "Tensor", generator: "torch.Generator") -> "tuple[Tensor, Tensor]":
            images, labels = crop_and_flip(images, labels, generator)
            return cutmix(images, labels, classes, self.beta, generator)

        return augment
