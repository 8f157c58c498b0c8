"""Decide whether a dataset's images are kept in memory as bytes or as floats, and whether they fit."""

from pathlib import Path

from src.bad_input import BadInput
from src.limits import usable_memory

MOST_FLOAT_BYTES = 2**28  # images that need more bytes as 32-bit floats stay bytes, and each batch is converted
# Bytes in memory per pixel and channel while jobs train: the command and the process that forks the jobs each hold the
# pixels, and the jobs share the splits, which are floats (4 bytes) or bytes.
MEMORY_AS_FLOATS, MEMORY_AS_BYTES = 6, 3


def keeps_bytes(pixels: int) -> bool:
    """Whether the images of a dataset with this many pixels, counted per channel, are kept as bytes."""
    return 4 * pixels > MOST_FLOAT_BYTES


def memory_needed(pixels: int) -> int:
    """Return the bytes of memory that a dataset takes while jobs train, given its pixels, counted per channel."""
    return pixels * (MEMORY_AS_BYTES if keeps_bytes(pixels) else MEMORY_AS_FLOATS)


def check_memory(place: str | Path, pixels: int) -> None:
    """Raise BadInput, which names the dataset's `place`, if this machine has too little memory for its images."""
    memory = usable_memory()
    if memory_needed(pixels) > memory:
        raise memory_refusal(place, pixels, f"this machine has {memory / 1e9:,.1f} GB")


def memory_refusal(place: str | Path, pixels: int, limit: str) -> BadInput:
    """Return the error for images that do not fit into memory; `limit` says why."""
    return BadInput(
        f"{place} has {pixels / 1e9:,.1f} GB of pixels; training takes {memory_needed(pixels) / 1e9:,.1f} GB of "
        f"memory: {limit}",
        "a dataset that fits into memory (data.limit does not help, because each file is read whole)",
        advice="fewer or smaller images",
    )
