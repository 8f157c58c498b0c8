"""Choose which images of a training file are for training and which for validation."""

import numpy as np
import numpy.typing as npt

from src.bad_input import BadInput
from src.data.images import Images
from src.data.sizes import held_out_count
from src.datasets import Data

Indices = npt.NDArray[np.int64]


def split_indices(data: Data, images: Images) -> tuple[Indices, Indices]:
    """Return the positions of the training and of the validation images in the training file, both ascending.

    If the dataset has its own validation images, no others are held out.  Otherwise `data.split_seed` alone decides
    which `data.validation` images these are.  The first `data.limit` other images are for training.
    """
    count = images.source.train
    held_out = np.empty(0, dtype=np.int64)
    if images.validation is None:
        drawn_indices = np.random.default_rng(data.split_seed).permutation(count)
        held_out = np.sort(drawn_indices[: held_out_count(count, data.validation)])
    return np.setdiff1d(np.arange(count), held_out, assume_unique=True)[: data.limit], held_out


def check_limit(data: Data, images: Images) -> None:
    """Raise BadInput if `data.limit` leaves no training image of a class, for example in a file sorted by class."""
    if data.limit is None:
        return
    labels = images.train_labels[np.delete(np.arange(images.source.train), split_indices(data, images)[1])]
    classes, first_positions = np.unique(labels, return_index=True)
    missing, needed = int((first_positions >= data.limit).sum()), int(first_positions.max()) + 1
    if missing:
        raise BadInput(
            f"data.limit={data.limit} keeps the first training images of {images.source.place}, but these have none of "
            f"{missing:,} of the {len(classes):,} classes",
            f"{needed:,} or more, or null",
            f"data.limit={needed}",
        )
