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
    font_size = common_font_size([f"{true} > {predicted}" for true, predicted in pairs], TILE_SIZE)
    caption_height = font_size + DETAIL_SIZE + 4
    picture, draw = blank_picture(columns * (TILE_SIZE + GAP) + GAP, rows * (TILE_SIZE + caption_height + GAP) + GAP)
    for position, (index, (true, predicted)) in enumerate(zip(indices, pairs, strict=True)):
        left = GAP + position % columns * (TILE_SIZE + GAP)
        top = GAP + position // columns * (TILE_SIZE + caption_height + GAP)
        picture.paste(tile_picture(test_images[index]), (left, top))
        _draw_class_names(draw, (left, top + TILE_SIZE + 1), (true, predicted), font_size)
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


def _draw_class_names(draw: ImageDraw.ImageDraw, position: tuple[int, int], pair: tuple[str, str], size: int) -> None:
    """Write `true > predicted` centred below a tile, with the predicted class in red.  `position` is (left, top)."""
    typeface, arrow = font(size), " > "
    free_width = int(TILE_SIZE - text_width(arrow, size))
    # A short class name leaves its free space to the other name.
    widths = [free_width - min(int(text_width(word, size)) + 1, free_width // 2) for word in reversed(pair)]
    true, predicted = (cut_text(word, width, size) for word, width in zip(pair, widths, strict=True))
    start = position[0] + (TILE_SIZE - text_width(true + arrow + predicted, size)) / 2
    draw.text((start, position[1]), true, INK, typeface)
    draw.text((start + text_width(true, size), position[1]), arrow, GREY, typeface)
    draw.text((start + text_width(true + arrow, size), position[1]), predicted, RED, typeface)


def tile_picture(image: Bytes) -> Image.Image:
    """Return an image (C, H, W) as an RGB picture of `TILE_SIZE` x `TILE_SIZE` pixels."""
    colours = np.ascontiguousarray(np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0))  # (H, W, 3)
    return Image.fromarray(colours).resize((TILE_SIZE, TILE_SIZE), Image.Resampling.BICUBIC)


def blank_picture(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty picture, with its size in pixels, and an object to draw on it."""
    picture = Image.new("RGB", (width, height), BACKGROUND)
    return picture, ImageDraw.Draw(picture)


def message_picture(words: str) -> Image.Image:
    """Return a picture of one sentence, to show instead of a grid without images."""
    width = max(4 * TILE_SIZE, math.ceil(text_width(words, PAIR_SIZE)) + 4 * GAP)
    picture, draw = blank_picture(width, TILE_SIZE)
    draw.text((width // 2, TILE_SIZE // 2), words, GREY, font(PAIR_SIZE), anchor="mm")
    return picture


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's built-in font; `size` is in pixels."""
    return ImageFont.load_default(size=size)


def text_width(words: str, size: int) -> float:
    """Return the width in pixels of a text in Pillow's font."""
    return font(size).getlength(words)


def common_font_size(lines: Sequence[str], width: int, largest: int = PAIR_SIZE, smallest: int = SMALLEST_SIZE) -> int:
    """Return the largest font size that fits every line into `width` pixels, or `smallest` if no size fits."""
    sizes = (size for size in range(largest, smallest, -1) if all(text_width(line, size) <= width for line in lines))
    return next(sizes, smallest)


def cut_text(words: str, width: float, size: int) -> str:
    """Return a text, shortened to fit into `width` pixels; a shortened text ends with a dot."""
    shortened_texts = (words[:end] + "." for end in range(len(words) - 1, 0, -1))
    return next((text for text in (words, *shortened_texts) if text_width(text, size) <= width), words[:1])
