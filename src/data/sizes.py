"""Compute the sizes of a dataset's splits without reading its images."""

from dataclasses import replace
from typing import TYPE_CHECKING

from src.bad_input import BadInput
from src.data.memory import memory_needed
from src.datasets import Data, Synthetic

if TYPE_CHECKING:
    from src.data.images import Source  # imports numpy, which a refused command must not wait for


def train_size(data: Data, source: "Source") -> int:
    """Return how many images of a dataset a job trains on."""
    return training_image_count(source.train, source.validation, data.validation, data.limit)


def training_image_count(available: int, own_validation: int, validation: int | None, limit: int | None) -> int:
    """Return how many of the `available` images in the training file a job trains on.

    `own_validation` is the number of the dataset's own validation images.  `validation` and `limit` are keys of `data`.
    """
    held_out = 0 if own_validation else held_out_count(available, validation)
    return min(available - held_out, available if limit is None else limit)


def held_out_count(available: int, validation: int | None) -> int:
    """Return how many training images become validation images: `validation`, or by default a tenth, at most 5,000."""
    return min(5000, max(1, available // 10)) if validation is None else validation


def split_text(data: Data, source: "Source") -> str:
    """Return the sizes of a dataset's splits and of its images in words, and the memory that they take."""
    train = train_size(data, source)
    validation = source.validation or held_out_count(source.train, data.validation)
    images = source.train + source.validation + source.test
    memory = memory_needed(images * source.channels * source.size**2)
    return (
        f"{train:,} training, {validation:,} {'own ' * bool(source.validation)}validation and {source.test:,} test "
        f"images, {source.size} x {source.size} pixels, {'grey' if source.channels == 1 else 'colour'}, "
        f"{len(source.classes):,} classes, {memory / 1e9:.1f} GB of memory"
    )


def check_sizes(data: Data, source: "Source") -> None:
    """Raise BadInput if a split would be empty, or if the training images do not fill one batch."""
    if source.train < 2:
        subject, advice = source.place, "data.root=FOLDER"
        if isinstance(data, Synthetic):
            subject, advice = f"data.images={data.images}", "data.images=5000"
        raise BadInput(f"{subject}: there are too few images for training and validation", "2 images or more", advice)
    if source.validation:
        _check_own_validation(data, source)
    elif held_out_count(source.train, data.validation) >= source.train:
        validation = held_out_count(source.train, None)
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


def _check_own_validation(data: Data, source: "Source") -> None:
    """Raise BadInput if the user chose another split, although the dataset has validation images of its own."""
    if data.validation is not None or data.split_seed:
        name = "data.split_seed" if data.validation is None else "data.validation"
        value, usual = (data.split_seed, "0") if data.validation is None else (data.validation, "null")
        problem = f"{source.place} has {source.validation:,} validation images of its own"
        raise BadInput(f"{problem}, so {name}={value} has no effect", f"{name}={usual}", f"{name}={usual}")
