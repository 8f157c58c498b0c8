"""The augmentations, which change the training images at random; one module per augmentation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from src.schema import Option, options_in

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Augment = Callable[["Tensor", "Tensor", "torch.Generator"], tuple["Tensor", "Tensor"]]
"""A function from images (N, C, H, W), labels (N,) and a generator on their device to new images and a target.

The target is labels (N,) or, where an augmentation mixes classes, probabilities (N, classes).  All batches of an epoch
have the same kind of target.
"""


@dataclass
class Augmentation(Option):
    """One augmentation, with the configuration keys that it reads."""

    title: ClassVar[str]

    def build(self, classes: int) -> Augment | None:
        """Return the function that the training loop applies to each batch, or None for no augmentation."""
        raise NotImplementedError


AUGMENTATIONS: dict[str, type[Augmentation]] = options_in(__name__, __path__, Augmentation)
