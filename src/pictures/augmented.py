"""Draw training images, and what an augmentation makes of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from src.data.idx import Bytes
from src.pictures.tiles import GAP, GREY, INK, TILE_SIZE, blank_picture, cut_text, font, picture_png, tile_picture
from src.runs.folder import AUGMENTED
from src.storage.files import write_atomic

HEADING_SIZE, CAPTION_SIZE = 14, 11  # font sizes in pixels
HEADING_HEIGHT, LINE_HEIGHT = 20, 13  # pixels


def write_augmented(
    folder: Path, originals: Bytes, augmented: Bytes, targets: npt.NDArray[np.float32], classes: Sequence[str]
) -> None:
    """Write the picture of `draw_augmented` into a job's folder."""
    write_atomic(folder / AUGMENTED, picture_png(draw_augmented(originals, augmented, targets, classes)))


def draw_augmented(
    originals: Bytes, augmented: Bytes, targets: npt.NDArray[np.float32], classes: Sequence[str]
) -> Image.Image:
    """Return a picture with one row of original images, and one row for each time that they were augmented.

    `originals` are images (N, C, H, W), grey or RGB.  `augmented` are the same images after each draw (draws, N, C, H,
    W), first that of epoch 1.  `targets` are the probabilities of the classes (1 + draws, N, classes), first of the
    originals.
    """
    headings = ["original images", "augmented in epoch 1", *["augmented again"] * (len(augmented) - 1)]
    mixed = bool((targets.max(axis=2) < 1).any())
    line_count = 2 if mixed else 1
    height = HEADING_HEIGHT + TILE_SIZE + line_count * LINE_HEIGHT + GAP
    picture, draw = blank_picture(len(originals) * (TILE_SIZE + GAP) + GAP, len(headings) * height + GAP)
    for row, (heading, images, target) in enumerate(zip(headings, [originals, *augmented], targets, strict=True)):
        top = row * height + GAP
        draw.text((GAP, top), heading, INK, font(HEADING_SIZE))
        for column, (image, probabilities) in enumerate(zip(images, target, strict=True)):
            left = GAP + column * (TILE_SIZE + GAP)
            picture.paste(tile_picture(image), (left, top + HEADING_HEIGHT))
            for line, text in enumerate(_target_lines(probabilities, classes)):
                text = cut_text(text, TILE_SIZE, CAPTION_SIZE)
                draw.text((left, top + HEADING_HEIGHT + TILE_SIZE + line * LINE_HEIGHT), text, GREY, font(CAPTION_SIZE))
    return picture


def _target_lines(probabilities: npt.NDArray[np.float32], classes: Sequence[str]) -> list[str]:
    """Return the class of an image, or its two most probable classes with their probabilities in percent."""
    first, second = np.argsort(-probabilities, kind="stable")[:2]
    if round(100 * float(probabilities[second])) == 0:
        return [classes[first]]
    return [f"{100 * probabilities[index]:.0f}% {classes[index]}" for index in (first, second)]
