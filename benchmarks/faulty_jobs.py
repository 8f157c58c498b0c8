"""Augmentations that make a job fail on a GPU, for `benchmarks.gpu`.

Before the first step, a job calls its augmentation `DRAWS` times to draw samples; these calls do no harm.
"""

from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from src.augmentation import Augment, Augmentation
from src.training.samples import DRAWS


@dataclass
class BrokenAccess(Augmentation):
    """Labels that no class has: on a GPU they stop the whole process's access to it, on the CPU they raise."""

    name: str = "broken_access"

    title = "labels out of range"

    def build(self, classes: int, mean: Tensor, deviation: Tensor) -> Augment:
        """Return a function that adds the number of classes to the labels of training steps."""
        calls = count(-DRAWS)
        return lambda images, labels, generator: (images, labels + classes * (next(calls) >= 0))


@dataclass
class TooMuchMemory(Augmentation):
    """A tensor that fits into no GPU's memory; the CPU raises the same error without trying."""

    name: str = "too_much_memory"

    title = "a tensor of 1 TB"

    def build(self, classes: int, mean: Tensor, deviation: Tensor) -> Augment:
        """Return a function that raises `torch.OutOfMemoryError` in training steps."""
        calls = count(-DRAWS)

        def fill_memory(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            if next(calls) < 0:
                return images, labels
            if images.device.type == "cpu":
                raise torch.OutOfMemoryError("a tensor of 1 TB")
            return images + torch.empty(2**38, device=images.device)[0], labels

        return fill_memory
