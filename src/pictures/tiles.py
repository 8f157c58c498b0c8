"""Draw grids of test images, with captions that are readable in a small preview."""

import functools
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from src.data.idx import Bytes
from src.runs.predictions import Indices, Predictions

TILE = 64  # width and height of an image in pixels
GAP = 6  # pixels between images
PAIR, DETAIL = 18, 11  # font sizes in pixels: for "true > predicted", and for the confidence and the index
SMALLEST = 10  # the smallest font size in pixels
BACKGROUND, INK, GREY, WRONG = "#ffffff", "#111111", "#5a5a5a", "#b03a00"


def mistake_grid(
    test_images: Bytes, predictions: Predictions, indices: Indices, classes: Sequence[str], columns: int
) -> Image.Image:
    """Return a grid of test images, with the true class, predicted class, confidence and index below each image.

    `test_images` are (N, C, H, W), grey or RGB.  `indices` lists the indices of the images to show, in this order.
    """
    if len(indices) == 0:
        return message_picture("no mistakes")
    columns = min(columns, len(indices))
    rows = math.ceil(len(indices) / columns)
    pairs = [(classes[predictions.label[index]], classes[predictions.predicted[index]]) for index in indices]
    font_size = common_size([f"{true} > {predicted}" for true, predicted in pairs], TILE)
    caption_height = font_size + DETAIL + 4
    picture, draw = blank_picture(columns * (TILE + GAP) + GAP, rows * (TILE + caption_height + GAP) + GAP)
    for position, (index, (true, predicted)) in enumerate(zip(indices, pairs, strict=True)):
        left = GAP + position % columns * (TILE + GAP)
        top = GAP + position // columns * (TILE + caption_height + GAP)
        picture.paste(tile(test_images[index]), (left, top))
        _draw_class_names(draw, (left, top + TILE + 1), (true, predicted), font_size)
        bottom = top + TILE + caption_height
        draw.text((left, bottom), percent(predictions.confidence[index]), INK, font(DETAIL), anchor="ld")
        draw.text((left + TILE, bottom), f"#{index}", GREY, font(DETAIL), anchor="rd")
    return picture


def picture_png(picture: Image.Image) -> bytes:
    """Return the PNG file of a picture; equal pictures give equal bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def percent(confidence: float) -> str:
    """Return a probability as text in whole percent; `>99%` if it is below 1 but would round to 100%."""
    return ">99%" if 0.995 <= confidence < 1 else f"{confidence:.0%}"


def _draw_class_names(draw: ImageDraw.ImageDraw, position: tuple[int, int], pair: tuple[str, str], size: int) -> None:
    """Write `true > predicted` centred below a tile, with the predicted class in red.  `position` is (left, top)."""
    typeface, arrow = font(size), " > "
    free_width = int(TILE - text_width(arrow, size))
    # A short class name leaves its free space to the other name.
    widths = [free_width - min(int(text_width(word, size)) + 1, free_width // 2) for word in reversed(pair)]
    true, predicted = (cut(word, width, size) for word, width in zip(pair, widths, strict=True))
    start = position[0] + (TILE - text_width(true + arrow + predicted, size)) / 2
    draw.text((start, position[1]), true, INK, typeface)
    draw.text((start + text_width(true, size), position[1]), arrow, GREY, typeface)
    draw.text((start + text_width(true + arrow, size), position[1]), predicted, WRONG, typeface)


def tile(image: Bytes) -> Image.Image:
    """Return an image (C, H, W) as an RGB picture of `TILE` x `TILE` pixels."""
    colours = np.ascontiguousarray(np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0))  # (H, W, 3)
    return Image.fromarray(colours).resize((TILE, TILE), Image.Resampling.BICUBIC)


def blank_picture(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty picture, with its size in pixels, and an object to draw on it."""
    picture = Image.new("RGB", (width, height), BACKGROUND)
    return picture, ImageDraw.Draw(picture)


def message_picture(words: str) -> Image.Image:
    """Return a picture of one sentence, to show instead of a grid without images."""
    width = max(4 * TILE, math.ceil(text_width(words, PAIR)) + 4 * GAP)
    picture, draw = blank_picture(width, TILE)
    draw.text((width // 2, TILE // 2), words, GREY, font(PAIR), anchor="mm")
    return picture


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's built-in font; `size` is in pixels."""
    return ImageFont.load_default(size=size)


def text_width(words: str, size: int) -> float:
    """Return the width in pixels of a text in Pillow's font."""
    return font(size).getlength(words)


def common_size(lines: Sequence[str], width: int, largest: int = PAIR, smallest: int = SMALLEST) -> int:
    """Return the largest font size that fits every line into `width` pixels, or `smallest` if no size fits."""
    sizes = (size for size in range(largest, smallest, -1) if all(text_width(line, size) <= width for line in lines))
    return next(sizes, smallest)


def cut(words: str, width: float, size: int) -> str:
    """Return a text, shortened to fit into `width` pixels; a shortened text ends with a dot."""
    shortened_texts = (words[:end] + "." for end in range(len(words) - 1, 0, -1))
    return next((text for text in (words, *shortened_texts) if text_width(text, size) <= width), words[:1])
