"""The images and labels of a dataset, and its description."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from src.bad_input import BadInput
from src.data.idx import Bytes
from src.wording import joined

Labels = npt.NDArray[np.unsignedinteger[Any]]
LabelledImages = tuple[Bytes, Labels]
"""Images (N, C, H, W) and their labels (N,)."""


@dataclass(frozen=True)
class Source:
    """The description of a dataset: its digest, origin, sizes and classes."""

    digest: str  # hexadecimal hash of the images and labels
    place: str  # the folder of its files, or `made up` for synthetic images
    train: int  # number of images in the training file; without `validation`, also of the validation images
    test: int  # number of test images
    channels: int
    size: int  # width and height in pixels
    classes: tuple[str, ...]
    validation: int = 0  # number of the dataset's own validation images; 0 if they come from the training images


@dataclass(frozen=True)
class Images:
    """A dataset's images (N, C, H, W) as unsigned bytes and labels (N,) as integers, in the order of its files."""

    source: Source
    train_images: Bytes
    train_labels: Labels
    test_images: Bytes
    test_labels: Labels
    validation: LabelledImages | None = None  # the dataset's own validation images, if it has any


def as_images(
    digest: str,
    place: str,
    classes: tuple[str, ...],
    train: LabelledImages,
    test: LabelledImages,
    validation: LabelledImages | None = None,
) -> Images:
    """Return arrays as one dataset; raises BadInput if their shapes or labels do not match."""
    splits = {"training": train, "test": test} | ({"validation": validation} if validation else {})
    for split, (images, labels) in splits.items():
        if len(images) == 0 or len(images) != len(labels):
            raise BadInput(
                f"{place} has {len(images):,} {split} images and {len(labels):,} labels", "one label per image"
            )
        if labels.max() >= len(classes):
            raise BadInput(f"{place} has a {split} label {labels.max()}", f"labels from 0 to {len(classes) - 1}")
    shapes = {split: images.shape[1:] for split, (images, _) in splits.items()}
    shape = shapes["training"]
    if len(set(shapes.values())) > 1 or shape[0] not in (1, 3) or shape[1] != shape[2]:
        raise BadInput(
            f"{place} has {joined([f'{split} images of {shape}' for split, shape in shapes.items()])} "
            "(channels, height, width)",
            f"1 or 3 channels, square images, the same shape for {joined(list(shapes))}",
        )
    count = len(validation[0]) if validation else 0
    source = Source(digest, place, len(train[0]), len(test[0]), shape[0], shape[1], classes, count)
    return Images(source, *train, *test, validation)


def content_digest(arrays: Sequence[npt.NDArray[Any]]) -> str:
    """Return the hexadecimal SHA-256 hash of the bytes of all arrays, one after another."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
