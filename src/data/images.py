"""A dataset as read from its files, and its description."""

from dataclasses import dataclass

from src.bad_input import BadInput
from src.data.idx import Bytes


@dataclass(frozen=True)
class Source:
    """A dataset's description, without its images."""

    digest: str  # hexadecimal, of the content
    place: str  # where it was read from
    train: int  # images in the training file, validation included
    test: int
    channels: int
    size: int  # pixels a side
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Images:
    """A dataset's images (N, C, H, W) and labels (N,), unsigned bytes in the order of its files."""

    source: Source
    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


def as_images(
    digest: str, place: str, classes: tuple[str, ...], train: tuple[Bytes, Bytes], test: tuple[Bytes, Bytes]
) -> Images:
    """Combine training and test images and labels; raises BadInput if they do not fit together."""
    for split, (images, labels) in (("training", train), ("test", test)):
        if len(images) == 0 or len(images) != len(labels):
            raise BadInput(
                f"{place}: {len(images):,} {split} images, {len(labels):,} labels", "as many of both, at least one"
            )
        if labels.max() >= len(classes):
            raise BadInput(f"{place}: {split} label {labels.max()}", f"0 to {len(classes) - 1}, the training labels")
    shape, test_shape = train[0].shape[1:], test[0].shape[1:]
    if test_shape != shape or shape[0] not in (1, 3) or shape[1] != shape[2]:
        raise BadInput(
            f"{place}: images of {shape} and {test_shape} (channels, height, width)",
            "1 or 3 channels, as high as wide, the same in training and test",
        )
    source = Source(digest, place, len(train[0]), len(test[0]), shape[0], shape[1], classes)
    return Images(source, *train, *test)
