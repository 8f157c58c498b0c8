"""The option `augmentation=none`, which trains on unchanged images."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.augmentation import Augment, Augmentation

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class NoAugmentation(Augmentation):
    """No augmentation; all epochs train on the same images."""

    name: str = "none"

    title = "no augmentation"

    def build(self, classes: int, mean: "Tensor", deviation: "Tensor") -> Augment | None:
        """Return None, which means no augmentation."""
        return None
