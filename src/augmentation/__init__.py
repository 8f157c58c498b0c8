"""The augmentations, which change the training images at random; one module per augmentation.

Their torch code is in `src/augmentation/modules`, so the command can check their keys before it loads torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.datasets import Data
from src.schema import Option, options_in

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Augment = Callable[["Tensor", "Tensor", "torch.Generator"], tuple["Tensor", "Tensor"]]
"""A function from images (N, C, H, W), labels (N,) and a generator on their device to new images and a target.

The images are normalised 32-bit floats.  The target is labels (N,) or, where an augmentation mixes classes,
probabilities (N, classes).  All batches of an epoch have the same kind of target.  The function draws for each image
separately, and draws everything from the generator.  It never waits for the device, so a CUDA graph can capture it.
"""


@dataclass
class Augmentation(Option):
    """One augmentation, with the configuration keys that it reads."""

    title: ClassVar[str]

    def check_images(self, size: int, place: str) -> None:
        """Raise BadInput, which names the images' `place`, if the keys do not suit images of `size` x `size` pixels."""

    def warning(self, data: Data) -> str:
        """Return a sentence about keys that are possible but unwise on a dataset, or an empty string."""
        return ""

    def build(self, classes: int, mean: "Tensor", deviation: "Tensor") -> Augment | None:
        """Return the function that the training loop applies to each batch, or None for no augmentation.

        `classes` is the dataset's number of classes.  `mean` was subtracted from the pixels (0 to 255) of each channel,
        and `deviation` divided them; both (C, 1, 1) are on the device of the images.
        """
        raise NotImplementedError


AUGMENTATIONS: dict[str, type[Augmentation]] = options_in(__name__, __path__, Augmentation)
