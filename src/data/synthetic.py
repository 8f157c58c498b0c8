"""Synthetic images, for trying everything without a file."""

import numpy as np

from src.data.idx import Bytes

COARSE = 4  # pixels a side of a class's pattern before it is enlarged
STREAMS = {"patterns": 0, "train": 1, "test": 2}


def make_images(
    count: int, classes: int, channels: int, size: int, noise: float, *, stream: str
) -> tuple[Bytes, Bytes]:
    """Return images (count, channels, size, size) and labels (count,), the same for each call.

    Each class has a coarse random pattern.  An image is its class's pattern, shifted by up to two pixels, plus normal
    noise with a standard deviation of `noise` times the pattern's.
    """
    patterns = np.random.default_rng(STREAMS["patterns"]).normal(size=(classes, channels, COARSE, COARSE))
    blocks = patterns.repeat(size // COARSE, axis=2).repeat(size // COARSE, axis=3)  # (classes, C, size, size)
    random = np.random.default_rng(STREAMS[stream])
    labels = random.integers(classes, size=count).astype(np.uint8)
    moves = random.integers(-2, 3, size=(count, 2))
    pictures = np.stack([np.roll(blocks[k], tuple(move), axis=(1, 2)) for k, move in zip(labels, moves, strict=True)])
    pictures += noise * random.normal(size=pictures.shape)
    return np.clip(128 + 48 * pictures, 0, 255).astype(np.uint8), labels
