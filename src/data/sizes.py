"""How many images each part of a dataset gets; known before a tensor is made."""

from src.bad_input import BadInput
from src.config import Data
from src.data.images import Source


def train_size(data: Data, source: Source) -> int:
    """How many images a job trains on."""
    remaining = source.train - data.validation
    return remaining if data.limit is None else min(data.limit, remaining)


def check_sizes(data: Data, source: Source) -> None:
    """Refuse a split that leaves a part empty or an epoch without a step.

    Raises:
        BadInput: naming the part.
    """
    if data.validation >= source.train:
        raise BadInput(
            f"data.validation={data.validation} leaves nothing of {source.train:,} images to train on",
            f"1 to {source.train - 1:,}",
            "data.validation=5000",
        )
    count = train_size(data, source)
    if data.batch_size > count:
        raise BadInput(
            f"data.batch_size={data.batch_size} makes 0 steps an epoch of {count:,} training images",
            f"1 to {count:,}",
            f"data.batch_size={min(64, count)}",
        )
