"""Decide whether a dataset's images fit into memory."""

from pathlib import Path

from src.bad_input import BadInput
from src.limits import usable_memory

# Bytes in memory per pixel and channel while jobs train: the command and the process that forks the jobs each hold the
# pixels, and the jobs share the splits.
MEMORY = 3


def memory_needed(pixels: int) -> int:
    """Return the bytes of memory that a dataset takes while jobs train, given its pixels, counted per channel."""
    return pixels * MEMORY


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
