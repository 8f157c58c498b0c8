"""The option `augmentation=none`, which trains on unchanged images."""

from dataclasses import dataclass

from src.augmentation import Augment, Augmentation


@dataclass
class NoAugmentation(Augmentation):
    """No augmentation; all epochs train on the same images."""

    name: str = "none"

    title = "no augmentation"

    def build(self, classes: int) -> Augment | None:
        """Return None, which means no augmentation."""
        return None
