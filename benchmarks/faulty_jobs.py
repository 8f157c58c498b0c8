"""Faults of jobs on a GPU, for `benchmarks.gpu` and tests: augmentations that make a job fail, and a killed process.

Before the first step, a job calls its augmentation `DRAWS` times to draw samples; these calls do no harm.
"""

from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from src.augmentation import Augment, Augmentation
from src.training.samples import DRAWS
from src.workers.gpu import GpuEngine


def kill_process(engine: GpuEngine, folder: Path) -> None:
    """Kill the process that trains the job in `folder`, and all other jobs that it trains."""
    for gpu in engine._gpus:
        if gpu._process and folder in gpu._process.jobs:
            gpu._process.process.kill()
            gpu._process.process.join()


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
    first_step: int = 0  # the number of steps without the error
    marker: str = ""  # the path of a file that the error creates; while it exists, there is no error
    message: str = "a tensor of 1 TB"  # of the error on the CPU

    title = "a tensor of 1 TB"

    def build(self, classes: int, mean: Tensor, deviation: Tensor) -> Augment:
        """Return a function that raises `torch.OutOfMemoryError` in training steps."""
        calls = count(-DRAWS)

        def fill_memory(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            if next(calls) < self.first_step or (self.marker and Path(self.marker).exists()):
                return images, labels
            if self.marker:
                Path(self.marker).touch()
            if images.device.type == "cpu":
                kind = torch.OutOfMemoryError if self.message == TooMuchMemory.message else RuntimeError
                raise kind(self.message)
            return images + torch.empty(2**38, device=images.device)[0], labels

        return fill_memory
