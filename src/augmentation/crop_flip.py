"""The option `augmentation=crop_flip`, which shifts each image and mirrors half of the images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.augmentation import Augment, Augmentation
from src.bad_input import BadInput
from src.datasets import Data
from src.schema import key

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class CropFlip(Augmentation):
    """Random crop and horizontal flip, the usual augmentation of CIFAR-10 (He et al. 2015, section 4.2).

    The borders are reflected, as in Wide ResNets (Zagoruyko & Komodakis 2016).
    """

    name: str = "crop_flip"
    padding: int = key(at_least=0, at_most=16)
    flip: bool = key()

    title = "random crop and flip"

    def check_images(self, size: int, place: str) -> None:
        """Raise BadInput if the padding is as large as the image, because a border reflects only once."""
        if self.padding >= size:
            problem = f"{place}: augmentation.padding={self.padding} is too large for images of {size} x {size} pixels"
            raise BadInput(problem, f"0 to {size - 1}", f"augmentation.padding={size // 8}")

    def warning(self, data: Data) -> str:
        """Return a warning if half of the images are mirrored although they show digits or letters."""
        if not (self.flip and data.shows_characters):
            return ""
        return (
            f"augmentation.flip=true mirrors half of the characters of {data.name}, and a mirrored character is "
            "another one or none; augmentation.flip=false prevents this"
        )

    def build(self, classes: int, mean: "Tensor", deviation: "Tensor") -> Augment:
        """Return the function that crops and flips the images; it returns the labels unchanged."""
        from src.augmentation.modules.crops import crop_and_flip

        def augment(images: "Tensor", labels: "Tensor", generator: "torch.Generator") -> "tuple[Tensor, Tensor]":
            return crop_and_flip(images, self.padding, self.flip, generator), labels

        return augment
