"""Test images as tiles with words: large enough to be read when the whole picture is a small preview."""

import functools
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from src.data.idx import Bytes
from src.runs.predictions import Indices, Predictions

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

TILE = 64  # pixels a side of an image
GAP = 6
PAIR, DETAIL = 18, 11  # font sizes in pixels: true > predicted, confidence and index
SMALLEST = 10
PAPER, INK, GREY, WRONG = "#ffffff", "#111111", "#5a5a5a", "#b03a00"


def mistake_grid(
    test_images: Bytes, predictions: Predictions, chosen: Indices, classes: Sequence[str], columns: int
) -> Image.Image:
    """The chosen images, `columns` in a row, each over its true and predicted class, confidence and index.

    Args:
        test_images: (N, C, H, W), grey or RGB.
        predictions: of all N images.
        chosen: which of them to show, in this order; none at all gives a picture that says so.
        classes: their names; what does not fit is cut.
        columns: at least 1; fewer where there are fewer images.
    """
    if len(chosen) == 0:
        return one_sentence("no mistakes")
    columns = min(columns, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    pairs = [(classes[predictions.label[index]], classes[predictions.predicted[index]]) for index in chosen]
    size = common_size([f"{true} > {predicted}" for true, predicted in pairs], TILE)
    bar = size + DETAIL + 4
    picture, draw = paper(columns * (TILE + GAP) + GAP, rows * (TILE + bar + GAP) + GAP)
    for position, (index, (true, predicted)) in enumerate(zip(chosen, pairs, strict=True)):
        left = GAP + position % columns * (TILE + GAP)
        top = GAP + position // columns * (TILE + bar + GAP)
        picture.paste(tile(test_images[index]), (left, top))
        _pair(draw, (left, top + TILE + 1), (true, predicted), size)
        line = top + TILE + bar
        draw.text((left, line), percent(predictions.confidence[index]), INK, font(DETAIL), anchor="ld")
        draw.text((left + TILE, line), f"#{index}", GREY, font(DETAIL), anchor="rd")
    return picture


def picture_png(picture: Image.Image) -> bytes:
    """A picture as PNG; equal pictures give equal bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def percent(confidence: float) -> str:
    """A probability in whole percent; never 100% for what is less."""
    return ">99%" if 0.995 <= confidence < 1 else f"{confidence:.0%}"


def _pair(draw: ImageDraw.ImageDraw, place: tuple[int, int], pair: tuple[str, str], size: int) -> None:
    """`true > predicted`, the predicted class in the colour of mistakes, in the middle of a tile's bar."""
    face, arrow = font(size), " > "
    room = int(TILE - text_width(arrow, size))
    halves = [
        room - min(int(text_width(word, size)) + 1, room // 2) for word in reversed(pair)
    ]  # a short one leaves room
    true, predicted = (cut(word, half, size) for word, half in zip(pair, halves, strict=True))
    start = place[0] + (TILE - text_width(true + arrow + predicted, size)) / 2
    draw.text((start, place[1]), true, INK, face)
    draw.text((start + text_width(true, size), place[1]), arrow, GREY, face)
    draw.text((start + text_width(true + arrow, size), place[1]), predicted, WRONG, face)


def tile(image: Bytes) -> Image.Image:
    """An image (C, H, W) as an RGB picture of a tile's size."""
    colours = np.ascontiguousarray(np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0))  # (H, W, 3)
    return Image.fromarray(colours).resize((TILE, TILE), Image.Resampling.BICUBIC)


def paper(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty picture, in pixels, and what draws on it."""
    picture = Image.new("RGB", (width, height), PAPER)
    return picture, ImageDraw.Draw(picture)


def one_sentence(words: str) -> Image.Image:
    """A picture that says why there is none."""
    width = max(4 * TILE, math.ceil(text_width(words, PAIR)) + 4 * GAP)
    picture, draw = paper(width, TILE)
    draw.text((width // 2, TILE // 2), words, GREY, font(PAIR), anchor="mm")
    return picture


@functools.cache
def font(size: int) -> Font:
    """Pillow's own, of a height in pixels."""
    return ImageFont.load_default(size=size)


def text_width(words: str, size: int) -> float:
    """In pixels."""
    return font(size).getlength(words)


def common_size(lines: Sequence[str], width: int, largest: int = PAIR, smallest: int = SMALLEST) -> int:
    """The largest font size at which every line fits into so many pixels, within limits."""
    fits = (size for size in range(largest, smallest, -1) if all(text_width(line, size) <= width for line in lines))
    return next(fits, smallest)


def cut(words: str, width: float, size: int) -> str:
    """As much of `words` as fits into so many pixels."""
    if text_width(words, size) <= width:
        return words
    ends = (words[:end] + "." for end in range(len(words) - 1, 0, -1))
    return next((cut for cut in ends if text_width(cut, size) <= width), words[:1])
