"""Images as tensors in memory: training, validation and test."""

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from src.data.idx import Bytes
from src.data.images import Images
from src.data.sources import load
from src.options import Data


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W), normalised, of 32-bit floats, channels last in memory; labels (N,) of 64-bit integers."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """The same on a device; where it is there already, without a copy."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """The three parts of a dataset; `test` is for the very end."""

    train: Split
    validation: Split
    test: Split


def load_splits(data: Data) -> tuple[Images, Splits]:
    """A dataset and its parts; the last ones stay in memory, and are for nobody to write to.

    Raises:
        BadInput: as `load` does.
    """
    return _load_splits(replace(data, batch_size=1))  # the splits do not depend on it


@functools.lru_cache(maxsize=1)
def _load_splits(data: Data) -> tuple[Images, Splits]:
    images = load(data)
    return images, make_splits(data, images)


def make_splits(data: Data, images: Images) -> Splits:
    """Deal out a dataset.

    `data.validation` images, drawn by `data.split_seed` alone, leave the training file; the rest stay in the file's
    order, and `data.limit` keeps the first of them.  Each channel is brought to mean 0 and variance 1 by the training
    images' own mean and variance.
    """
    count = images.source.train
    drawn = np.random.default_rng(data.split_seed).permutation(count)[: data.validation]
    validation = np.sort(drawn)
    train = np.setdiff1d(np.arange(count), validation, assume_unique=True)[: data.limit]
    mean, deviation = channel_statistics(images.train_images[train])

    def split(pixels: Bytes, labels: Bytes) -> Split:
        values = torch.from_numpy(np.array(pixels)).float().sub_(mean).div_(deviation)  # (N, C, H, W)
        return Split(values.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels.astype(np.int64)))

    return Splits(
        train=split(images.train_images[train], images.train_labels[train]),
        validation=split(images.train_images[validation], images.train_labels[validation]),
        test=split(images.test_images, images.test_labels),
    )


def channel_statistics(pixels: Bytes) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of images (N, C, H, W), as tensors (C, 1, 1).

    Summed in integers, so that the result does not depend on the order or on the number of threads.
    """
    counts = np.zeros((pixels.shape[1], 256), dtype=np.int64)
    for start in range(0, len(pixels), 1000):  # counting widens every pixel to eight bytes
        for channel, counted in enumerate(counts):
            counted += np.bincount(pixels[start : start + 1000, channel].ravel(), minlength=256)
    values = np.arange(256)
    total = counts.sum(axis=1)
    mean = (counts @ values) / total
    deviation = np.sqrt((counts @ values**2) / total - mean**2)
    deviation[deviation == 0] = 1  # a blank channel stays blank

    def column(values: np.typing.NDArray[np.float64]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32)[:, None, None]

    return column(mean), column(deviation)
