"""A small dataset in MNIST's format, and functions that write it."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

IdxSet = dict[str, bytes]
"""The unpacked bytes of the four files, by name."""


def to_idx(array: np.ndarray) -> bytes:
    axes = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + axes + array.astype(np.uint8).tobytes()


@pytest.fixture
def pack() -> Callable[[np.ndarray], bytes]:
    return to_idx


@pytest.fixture
def idx_set() -> IdxSet:
    random = np.random.default_rng(5)
    return {
        "train-images-idx3-ubyte": to_idx(random.integers(0, 256, (30, 28, 28))),
        "train-labels-idx1-ubyte": to_idx(np.arange(30) % 10),
        "t10k-images-idx3-ubyte": to_idx(random.integers(0, 256, (12, 28, 28))),
        "t10k-labels-idx1-ubyte": to_idx(np.arange(12) % 10),
    }


@pytest.fixture
def lay_out(idx_set: IdxSet) -> Callable[..., Path]:
    def write(folder: Path, *, packed: bool = False, **changed: bytes) -> Path:
        """Write the small dataset to a folder; `t10k_labels=...` replaces a file's content."""
        folder.mkdir(parents=True)
        for name, content in idx_set.items():
            content = changed.get("_".join(name.split("-")[:2]), content)
            path = folder / (name + ".gz" * packed)
            path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
        return folder

    return write
