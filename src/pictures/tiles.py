"""Draw grids of test images, with captions that are readable in a small preview."""

import functools
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from src.data.idx import Bytes
from src.runs.predictions import Indices, Predictions

TILE_SIZE = 64  # width and height of an image in pixels
GAP = 6  # pixels between images
PAIR_SIZE, DETAIL_SIZE = 18, 11  # font sizes in pixels: for "true > predicted", and for the confidence and the index
SMALLEST_SIZE = 10  # the smallest font size in pixels
BACKGROUND, INK, GREY, RED = "#ffffff", "#111111", "#5a5a5a", "#b03a00"


def draw_mistake_grid(
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
    lines = [f"{true} > {predicted}" for true, predicted in pairs]
    stacked = max(text_width(line, SMALLEST_SIZE) for line in lines) > TILE_SIZE
    if stacked:  # the names do not fit on one line
        lines = [line for true, predicted in pairs for line in (true, f"> {predicted}")]
    font_size = common_font_size(lines, TILE_SIZE)
    caption_height = (2 if stacked else 1) * (font_size + 2) + DETAIL_SIZE + 2
    picture, draw = blank_picture(columns * (TILE_SIZE + GAP) + GAP, rows * (TILE_SIZE + caption_height + GAP) + GAP)
    for position, (index, (true, predicted)) in enumerate(zip(indices, pairs, strict=True)):
        left = GAP + position % columns * (TILE_SIZE + GAP)
        top = GAP + position // columns * (TILE_SIZE + caption_height + GAP)
        picture.paste(tile_picture(test_images[index]), (left, top))
        _draw_class_names(draw, (left, top + TILE_SIZE + 1), (true, predicted), font_size, stacked=stacked)
        bottom = top + TILE_SIZE + caption_height
        draw.text((left, bottom), confidence_text(predictions.confidence[index]), INK, font(DETAIL_SIZE), anchor="ld")
        draw.text((left + TILE_SIZE, bottom), f"#{index}", GREY, font(DETAIL_SIZE), anchor="rd")
    return picture


def picture_png(picture: Image.Image) -> bytes:
    """Return the PNG file of a picture; equal pictures give equal bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def confidence_text(confidence: float) -> str:
    """Return a probability as text in whole percent; `>99%` if it is below 1 but would round to 100%."""
    return ">99%" if 0.995 <= confidence < 1 else f"{confidence:.0%}"


def _draw_class_names(
    draw: ImageDraw.ImageDraw, position: tuple[int, int], names: tuple[str, str], size: int, *, stacked: bool
) -> None:
    """Write `true > predicted` centred below a tile, on two lines if `stacked`, with the predicted class in red.

    `position` is (left, top).  On two lines, a name that is wider than the tile is shortened.
    """
    (left, top), (true, predicted) = position, names
    lines = [[(true, INK), (" > ", GREY), (predicted, RED)]]
    if stacked:
        predicted = cut_text(predicted, TILE_SIZE - text_width("> ", size), size)
        lines = [[(cut_text(true, TILE_SIZE, size), INK)], [("> ", GREY), (predicted, RED)]]
    for row, parts in enumerate(lines):
        start = left + (TILE_SIZE - text_width("".join(text for text, _ in parts), size)) / 2
        for text, colour in parts:
            draw.text((start, top + row * (size + 2)), text, colour, font(size))
            start += text_width(text, size)


def tile_picture(image: Bytes) -> Image.Image:
    """Return an image (C, H, W) as an RGB picture of `TILE_SIZE` x `TILE_SIZE` pixels."""
    colours = np.ascontiguousarray(np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0))  # (H, W, 3)
    return Image.fromarray(colours).resize((TILE_SIZE, TILE_SIZE), Image.Resampling.BICUBIC)


def blank_picture(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty picture, with its size in pixels, and an object to draw on it."""
    picture = Image.new("RGB", (width, height), BACKGROUND)
    return picture, ImageDraw.Draw(picture)


def message_picture(sentence: str) -> Image.Image:
    """Return a picture of one sentence, to show instead of a grid without images."""
    width = max(4 * TILE_SIZE, math.ceil(text_width(sentence, PAIR_SIZE)) + 4 * GAP)
    picture, draw = blank_picture(width, TILE_SIZE)
    draw.text((width // 2, TILE_SIZE // 2), sentence, GREY, font(PAIR_SIZE), anchor="mm")
    return picture


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's built-in font; `size` is in pixels."""
    return ImageFont.load_default(size=size)


def text_width(text: str, size: int) -> float:
    """Return the width in pixels of a text in Pillow's font."""
    return font(size).getlength(text)


def common_font_size(lines: Sequence[str], width: int, largest: int = PAIR_SIZE, smallest: int = SMALLEST_SIZE) -> int:
    """Return the largest font size that fits every line into `width` pixels, or `smallest` if no size fits."""
    sizes = (size for size in range(largest, smallest, -1) if all(text_width(line, size) <= width for line in lines))
    return next(sizes, smallest)


def cut_text(text: str, width: float, size: int) -> str:
    """Return a text, shortened to fit into `width` pixels; a shortened text ends with a dot."""
    shortened_texts = (text[:end] + "." for end in range(len(text) - 1, 0, -1))
    return next((candidate for candidate in (text, *shortened_texts) if text_width(candidate, size) <= width), text[:1])
