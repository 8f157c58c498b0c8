"""Split a dataset into training, validation and test tensors."""

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
    """Normalised images (N, C, H, W), 32-bit floats, channels last in memory; labels (N,), 64-bit integers."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """Return the split on a device; makes no copy if it is already there."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """The parts of a dataset; use `test` once, after the last epoch."""

    train: Split
    validation: Split
    test: Split


def load_splits(data: Data) -> tuple[Images, Splits]:
    """Return a dataset and its splits; the latest ones stay in memory and must not be changed."""
    return _load_splits(replace(data, batch_size=1))  # one cache entry for all batch sizes


@functools.lru_cache(maxsize=1)
def _load_splits(data: Data) -> tuple[Images, Splits]:
    images = load(data)
    return images, make_splits(data, images)


def make_splits(data: Data, images: Images) -> Splits:
    """Split a dataset and normalise it.

    `data.split_seed` alone draws the `data.validation` images from the training file.  `data.limit` is the number of
    other images to keep, in the file's order.  The training images' mean and variance normalise each channel.
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
    """Return mean and standard deviation per channel of images (N, C, H, W), each (C, 1, 1).

    Integer sums make the result independent of the order and the number of threads.
    """
    counts = np.zeros((pixels.shape[1], 256), dtype=np.int64)
    for start in range(0, len(pixels), 1000):  # np.bincount takes eight bytes a pixel
        for channel, counted in enumerate(counts):
            counted += np.bincount(pixels[start : start + 1000, channel].ravel(), minlength=256)
    values = np.arange(256)
    total = counts.sum(axis=1)
    mean = (counts @ values) / total
    deviation = np.sqrt((counts @ values**2) / total - mean**2)
    deviation[deviation == 0] = 1  # leaves a constant channel at 0

    tensor = torch.tensor(np.stack([mean, deviation]), dtype=torch.float32)[:, :, None, None]
    return tensor[0], tensor[1]
