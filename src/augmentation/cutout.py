"""The option `augmentation=cutout`, which crops and flips each image, and then cuts a square out of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.augmentation import Augment
from src.augmentation.crop_flip import CropFlip
from src.bad_input import BadInput
from src.schema import key

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class Cutout(CropFlip):
    """Cutout (DeVries & Taylor 2017): one square of each image is set to the mean colour of the training images."""

    name: str = "cutout"
    hole: int = key(at_least=1, at_most=1024)

    title = "cutout"

    def check_images(self, size: int, place: str) -> None:
        """Raise BadInput if the padding or the hole is as large as the image."""
        super().check_images(size, place)
        if self.hole >= size:
            problem = f"{place}: augmentation.hole={self.hole} is too large for images of {size} x {size} pixels"
            raise BadInput(problem, f"1 to {size - 1}", f"augmentation.hole={size // 2}")

    def build(self, classes: int, mean: "Tensor", deviation: "Tensor") -> Augment:
        """Return the function that crops, flips and cuts the images; it returns the labels unchanged."""
        from src.augmentation.modules.squares import cut_out

        crop_and_flip = super().build(classes, mean, deviation)

        def augment(images: "Tensor", labels: "Tensor", generator: "torch.Generator") -> "tuple[Tensor, Tensor]":
            images, labels = crop_and_flip(images, labels, generator)
            return cut_out(images, self.hole, generator), labels

        return augment
