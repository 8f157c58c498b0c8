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
    """Normalised images (N, C, H, W) as 32-bit floats, channels last in memory, and labels (N,) as 64-bit integers."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """Return this split on a device; tensors that are already on the device are not copied."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """The training, validation and test images of a dataset; use `test` only once, after the last epoch."""

    train: Split
    validation: Split
    test: Split
    mean: Tensor  # what was subtracted from the pixels (0 to 255) of each channel, (C, 1, 1)
    deviation: Tensor  # what they were divided by, (C, 1, 1)


def load_splits(data: Data) -> tuple[Images, Splits]:
    """Return a dataset and its splits.  The last dataset is cached, so do not modify its tensors."""
    return _load_splits(replace(data, batch_size=1))  # all batch sizes share one cache entry


@functools.lru_cache(maxsize=1)
def _load_splits(data: Data) -> tuple[Images, Splits]:
    images = load(data)
    return images, make_splits(data, images)


def make_splits(data: Data, images: Images) -> Splits:
    """Split a dataset into training, validation and test images, and normalise each channel.

    `data.split_seed` alone decides which `data.validation` images of the training file are for validation.
    The first `data.limit` other images are for training.  Their mean and standard deviation normalise all splits.
    """
    count = images.source.train
    drawn_indices = np.random.default_rng(data.split_seed).permutation(count)[: data.validation]
    validation = np.sort(drawn_indices)
    train = np.setdiff1d(np.arange(count), validation, assume_unique=True)[: data.limit]
    mean, deviation = channel_statistics(images.train_images[train])

    def normalised_split(pixels: Bytes, labels: Bytes) -> Split:
        values = torch.from_numpy(np.array(pixels)).float().sub_(mean).div_(deviation)  # (N, C, H, W)
        return Split(values.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels.astype(np.int64)))

    return Splits(
        train=normalised_split(images.train_images[train], images.train_labels[train]),
        validation=normalised_split(images.train_images[validation], images.train_labels[validation]),
        test=normalised_split(images.test_images, images.test_labels),
        mean=mean,
        deviation=deviation,
    )


def channel_statistics(pixels: Bytes) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of each channel of images (N, C, H, W), both as (C, 1, 1).

    The sums are integers, so neither the order of the images nor the number of threads changes the result.
    """
    counts = np.zeros((pixels.shape[1], 256), dtype=np.int64)
    for start in range(0, len(pixels), 1000):  # np.bincount needs 8 bytes per pixel, so count in blocks
        for channel, channel_counts in enumerate(counts):
            channel_counts += np.bincount(pixels[start : start + 1000, channel].ravel(), minlength=256)
    values = np.arange(256)
    total = counts.sum(axis=1)
    mean = (counts @ values) / total
    deviation = np.sqrt((counts @ values**2) / total - mean**2)
    deviation[deviation == 0] = 1  # a constant channel would divide 0 by 0; it becomes 0

    tensor = torch.tensor(np.stack([mean, deviation]), dtype=torch.float32)[:, :, None, None]
    return tensor[0], tensor[1]
