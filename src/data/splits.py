"""Split a dataset into training, validation and test tensors."""

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from src.data.idx import Bytes
from src.data.images import Images, Labels
from src.data.label_noise import training_labels
from src.data.sources import load
from src.data.split_indices import split_indices
from src.datasets import Data

Scale = tuple[Tensor, Tensor]
"""The mean and the standard deviation of each channel, both (C, 1, 1) or (C, H, W)."""


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W), channels last in memory, and labels (N,) as 64-bit integers.

    The images are bytes, which take a quarter of the memory of floats; `scale` normalises each batch when it is used.
    On an NVIDIA GPU, the images of a small dataset are normalised floats.
    """

    images: Tensor
    labels: Tensor
    scale: Scale | None = None  # (C, H, W), channels last in memory; None if `images` are normalised floats

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the normalised images (n, C, H, W), channels last in memory, and the labels (n,) at `indices` (n,)."""
        rows = self.images.permute(0, 2, 3, 1)  # (N, H, W, C), as in memory, because index_select is fastest on it
        images = rows.index_select(0, indices).permute(0, 3, 1, 2)
        return self.normalise(images), self.labels.index_select(0, indices)

    def normalise(self, images: Tensor) -> Tensor:
        """Return some of this split's images as normalised floats, which have the same bits in every kind of split."""
        return images if self.scale is None else normalise(images, self.scale)

    def to(self, device: torch.device) -> "Split":
        """Return this split on a device; tensors that are already on the device are not copied."""
        scale = None if self.scale is None else (self.scale[0].to(device), self.scale[1].to(device))
        return Split(self.images.to(device), self.labels.to(device), scale)


@dataclass(frozen=True)
class Splits:
    """The training, validation and test images of a dataset; use `test` only once, after the last epoch."""

    train: Split
    validation: Split
    test: Split
    mean: Tensor  # what was subtracted from the pixels (0 to 255) of each channel, (C, 1, 1)
    deviation: Tensor  # what they were divided by, (C, 1, 1)


def normalise(images: Tensor, scale: Scale) -> Tensor:
    """Return images (N, C, H, W) of bytes as floats, minus the mean and divided by the standard deviation."""
    return images.float().sub_(scale[0]).div_(scale[1])


def load_splits(data: Data) -> tuple[Images, Splits]:
    """Return a dataset and its splits.  The last dataset is cached, so do not modify its tensors."""
    # All batch sizes share one cache entry, and all noises share the images.
    images, splits = _load_splits(replace(data, batch_size=1, label_noise=0.0, noise_seed=0))
    return images, _with_label_noise(data, images, splits)


@functools.lru_cache(maxsize=1)
def _load_splits(data: Data) -> tuple[Images, Splits]:
    images = load(data)
    return images, make_splits(data, images)


def make_splits(data: Data, images: Images) -> Splits:
    """Split a dataset into training, validation and test images, with the scale that normalises each channel.

    `split_indices` chooses the training images, and the validation images if the dataset has none of its own.  The mean
    and standard deviation of the training images normalise all splits.  `data.label_noise` changes only training
    labels, so the training accuracy refers to noisy labels.
    """
    train, held_out = split_indices(data, images)
    validation = images.validation or (images.train_images[held_out], images.train_labels[held_out])
    train_images = images.train_images[train]
    scale = channel_statistics(train_images)
    mean, deviation = (_repeat_for_each_pixel(value, images.source.size) for value in scale)

    def split(pixels: Bytes, labels: Labels) -> Split:
        values = torch.from_numpy(np.array(pixels)).contiguous(memory_format=torch.channels_last)  # (N, C, H, W)
        return Split(values, torch.from_numpy(labels.astype(np.int64)), (mean, deviation))

    splits = Splits(
        train=split(train_images, images.train_labels[train]),
        validation=split(*validation),
        test=split(images.test_images, images.test_labels),
        mean=scale[0],
        deviation=scale[1],
    )
    return _with_label_noise(data, images, splits)


def _with_label_noise(data: Data, images: Images, splits: Splits) -> Splits:
    """Return splits that share the images of `splits`, and whose training labels have the noise of `data`."""
    if not data.label_noise:
        return splits
    labels = torch.from_numpy(training_labels(data, images))
    return replace(splits, train=replace(splits.train, labels=labels))


def _repeat_for_each_pixel(values: Tensor, size: int) -> Tensor:
    """Return values (C, 1, 1) as (C, size, size), channels last in memory, which speeds up `normalise` fourfold."""
    return values.permute(1, 2, 0).expand(size, size, -1).contiguous().permute(2, 0, 1)


def channel_statistics(pixels: Bytes) -> Scale:
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
