"""No augmentation."""

from dataclasses import dataclass

from src.augmentation import Augment, Augmentation


@dataclass
class NoAugmentation(Augmentation):
    """Every epoch sees the images as they are."""

    name: str = "none"

    title = "no augmentation"

    def build(self, classes: int) -> Augment | None:
        """Return None."""
        return None
