"""The images and labels of a dataset, and its description."""

from dataclasses import dataclass

from src.bad_input import BadInput
from src.data.idx import Bytes


@dataclass(frozen=True)
class Source:
    """The description of a dataset: its digest, origin, sizes and classes."""

    digest: str  # hexadecimal hash of the images and labels
    place: str  # the folder of its files, or `made up` for synthetic images
    train: int  # number of images in the training file, which also holds the validation images
    test: int  # number of test images
    channels: int
    size: int  # width and height in pixels
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Images:
    """A dataset's images (N, C, H, W) and labels (N,) as unsigned bytes, in the order of its files."""

    source: Source
    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


def as_images(
    digest: str, place: str, classes: tuple[str, ...], train: tuple[Bytes, Bytes], test: tuple[Bytes, Bytes]
) -> Images:
    """Return the training and test arrays as one dataset; raises BadInput if their shapes or labels do not match."""
    for split, (images, labels) in (("training", train), ("test", test)):
        if len(images) == 0 or len(images) != len(labels):
            raise BadInput(
                f"{place} has {len(images):,} {split} images and {len(labels):,} labels", "one label per image"
            )
        if labels.max() >= len(classes):
            raise BadInput(f"{place} has a {split} label {labels.max()}", f"labels from 0 to {len(classes) - 1}")
    shape, test_shape = train[0].shape[1:], test[0].shape[1:]
    if test_shape != shape or shape[0] not in (1, 3) or shape[1] != shape[2]:
        raise BadInput(
            f"{place} has training images of {shape} and test images of {test_shape} (channels, height, width)",
            "1 or 3 channels, square images, the same shape for training and test",
        )
    source = Source(digest, place, len(train[0]), len(test[0]), shape[0], shape[1], classes)
    return Images(source, *train, *test)
