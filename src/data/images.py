"""A dataset as it comes from its files, and what is known of it without them."""

from dataclasses import dataclass

from src.bad_input import BadInput
from src.data.idx import Bytes


@dataclass(frozen=True)
class Source:
    """What is known of a dataset without its images.

    `digest` names its content (hexadecimal), `place` says where it was read from.
    """

    digest: str
    place: str
    train: int  # images in the training file, validation included
    test: int
    channels: int
    size: int  # pixels a side
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Images:
    """A dataset: images (N, C, H, W) and labels (N,), both of unsigned bytes, in the order of its files."""

    source: Source
    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


def as_images(
    digest: str, place: str, classes: tuple[str, ...], train: tuple[Bytes, Bytes], test: tuple[Bytes, Bytes]
) -> Images:
    """Put training and test images with their labels together.

    Raises:
        BadInput: where they do not fit each other, the classes or the network.
    """
    for split, (images, labels) in (("training", train), ("test", test)):
        if len(images) == 0 or len(images) != len(labels):
            raise BadInput(
                f"{place}: {len(images):,} {split} images, {len(labels):,} labels", "as many of both, at least one"
            )
        if labels.max() >= len(classes):
            raise BadInput(f"{place}: {split} label {labels.max()}", f"0 to {len(classes) - 1}, the training labels")
    shape, test_shape = train[0].shape[1:], test[0].shape[1:]
    if test_shape != shape or shape not in ((1, 28, 28), (3, 28, 28), (1, 32, 32), (3, 32, 32)):
        raise BadInput(
            f"{place}: images of {shape} and {test_shape} (channels, height, width)",
            "1 or 3 channels, 28 x 28 or 32 x 32 pixels, the same in training and test",
        )
    source = Source(digest, place, len(train[0]), len(test[0]), shape[0], shape[1], classes)
    return Images(source, *train, *test)
