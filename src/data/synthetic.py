"""Generate synthetic images, to try normlab without a dataset's files."""

import numpy as np

from src.data.idx import Bytes

PATTERN_SIZE = 4  # width and height of a class's pattern in pixels, before it is enlarged to the image
BLOCK = 500  # images that are computed at once, because they take 16 bytes per pixel; does not change the images
STREAM_SEEDS = {"patterns": 0, "train": 1, "test": 2}


def make_images(
    count: int, classes: int, channels: int, size: int, noise: float, *, stream: str
) -> tuple[Bytes, Bytes]:
    """Return images (count, channels, size, size) and labels (count,); equal arguments give equal images.

    Each class has a coarse random pattern.  An image is the pattern of its class, shifted by up to two pixels, plus
    normal noise.  The noise has `noise` times the standard deviation of the pattern.
    """
    shape, scale = (classes, channels, PATTERN_SIZE, PATTERN_SIZE), size // PATTERN_SIZE
    patterns = np.random.default_rng(STREAM_SEEDS["patterns"]).normal(size=shape)
    enlarged = patterns.repeat(scale, axis=2).repeat(scale, axis=3)  # (classes, channels, size, size)
    random = np.random.default_rng(STREAM_SEEDS[stream])
    labels = random.integers(classes, size=count).astype(np.uint8)
    shifts = random.integers(-2, 3, size=(count, 2))
    images = np.empty((count, channels, size, size), dtype=np.uint8)
    for start in range(0, count, BLOCK):
        block = slice(start, start + BLOCK)
        drawn = zip(labels[block], shifts[block], strict=True)
        pictures = np.stack([np.roll(enlarged[k], tuple(xy), axis=(1, 2)) for k, xy in drawn])
        pictures += noise * random.normal(size=pictures.shape)
        images[block] = np.clip(128 + 48 * pictures, 0, 255)
    return images, labels
