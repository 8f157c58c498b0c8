"""Sizes of a dataset's splits, known without reading it."""

from dataclasses import replace

from src.bad_input import BadInput
from src.data.images import Source
from src.options import Data, Synthetic


def train_size(data: Data, source: Source) -> int:
    """Return how many images a job trains on."""
    return train_images(source.train, data.validation, data.limit)


def train_images(images: int, validation: int, limit: int | None) -> int:
    """Return how many of the training file's `images` a job trains on."""
    return min(images - validation, images if limit is None else limit)


def check_sizes(data: Data, source: Source) -> None:
    """Raise BadInput if a split would be empty or an epoch would have no step."""
    if source.train < 2:
        place, write = source.place, "data.root=FOLDER with more images"
        if isinstance(data, Synthetic):
            place, write = f"data.images={data.images}", "data.images=5000"
        raise BadInput(f"{place}: too few images for training and validation", "2 images or more", write)
    if data.validation >= source.train:
        validation = min(5000, max(1, source.train // 10))
        fits = min(data.batch_size, train_size(replace(data, validation=validation), source))
        raise BadInput(
            f"data.validation={data.validation} leaves none of the {source.train:,} images for training",
            f"1 to {source.train - 1:,}",
            f"data.validation={validation}" + (f" data.batch_size={fits}" if fits < data.batch_size else ""),
        )
    count = train_size(data, source)
    if data.batch_size > count:
        raise BadInput(
            f"data.batch_size={data.batch_size} makes 0 steps an epoch of {count:,} training images",
            f"1 to {count:,}",
            f"data.batch_size={min(64, count)}",
        )
