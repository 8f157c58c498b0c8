"""The option `augmentation=trivial`, which applies one random operation to each image, and then crops and flips it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.augmentation import Augment
from src.augmentation.crop_flip import CropFlip

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Trivial(CropFlip):
    """TrivialAugmentWide (Müller & Hutter 2021): one operation per image, with a random strength.

    As in the paper's experiments with CIFAR, a random crop and a flip follow.  The operations are those of torchvision.
    """

    name: str = "trivial"

    title = "TrivialAugment"

    def build(self, classes: int, mean: "Tensor", deviation: "Tensor") -> Augment:
        """Return the function that changes the images; it returns the labels unchanged."""
        from src.augmentation.modules.trivial import TrivialAugment

        return TrivialAugment(self.padding, self.flip, mean, deviation)
