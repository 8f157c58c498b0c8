"""Compute the sizes of a dataset's splits without reading its images."""

from dataclasses import replace

from src.bad_input import BadInput
from src.data.images import Source
from src.options import Data, Synthetic


def train_size(data: Data, source: Source) -> int:
    """Return how many images of a dataset a job trains on."""
    return training_image_count(source.train, data.validation, data.limit)


def training_image_count(available: int, validation: int, limit: int | None) -> int:
    """Return how many of the training file's images a job trains on, given `data.validation` and `data.limit`."""
    return min(available - validation, available if limit is None else limit)


def check_sizes(data: Data, source: Source) -> None:
    """Raise BadInput if a split would be empty, or if the training images do not fill one batch."""
    if source.train < 2:
        subject, advice = source.place, "data.root=FOLDER"
        if isinstance(data, Synthetic):
            subject, advice = f"data.images={data.images}", "data.images=5000"
        raise BadInput(f"{subject}: there are too few images for training and validation", "2 images or more", advice)
    if data.validation >= source.train:
        validation = min(5000, max(1, source.train // 10))
        batch = min(data.batch_size, train_size(replace(data, validation=validation), source))
        raise BadInput(
            f"data.validation={data.validation} leaves none of the {source.train:,} images for training",
            f"1 to {source.train - 1:,}",
            f"data.validation={validation}" + (f" data.batch_size={batch}" if batch < data.batch_size else ""),
        )
    count = train_size(data, source)
    if data.batch_size > count:
        raise BadInput(
            f"data.batch_size={data.batch_size} is larger than the {count:,} training images",
            f"1 to {count:,}",
            f"data.batch_size={min(64, count)}",
        )
