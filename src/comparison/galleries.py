"""Grids of misclassified images: labels large enough to be read when the whole grid is a small preview."""

import functools
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from src.comparison.mistakes import Indices
from src.data.idx import Bytes
from src.runs.predictions import Predictions

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

TILE = 64  # pixels a side of an image
GAP = 6
PAIR, DETAIL = 18, 11  # font sizes in pixels: true > predicted, confidence and index
SMALLEST = 10
PAPER, INK, GREY, WRONG = "#ffffff", "#111111", "#5a5a5a", "#b03a00"
WRONG_PAPER = "#fde3d3"


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
        return _sentence("no mistakes")
    columns = min(columns, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    pairs = [(classes[predictions.label[index]], classes[predictions.predicted[index]]) for index in chosen]
    size = _common_size([f"{true} > {predicted}" for true, predicted in pairs], TILE)
    bar = size + DETAIL + 4
    picture, draw = _paper(columns * (TILE + GAP) + GAP, rows * (TILE + bar + GAP) + GAP)
    for position, (index, (true, predicted)) in enumerate(zip(chosen, pairs, strict=True)):
        left = GAP + position % columns * (TILE + GAP)
        top = GAP + position // columns * (TILE + bar + GAP)
        picture.paste(_tile(test_images[index]), (left, top))
        _pair(draw, (left, top + TILE + 1), (true, predicted), size)
        line = top + TILE + bar
        draw.text((left, line), percent(predictions.confidence[index]), INK, _font(DETAIL), anchor="ld")
        draw.text((left + TILE, line), f"#{index}", GREY, _font(DETAIL), anchor="rd")
    return picture


def side_by_side(
    test_images: Bytes, runs: Mapping[str, Predictions], chosen: Indices, classes: Sequence[str]
) -> Image.Image:
    """A row an image, a column a run: what each run takes the image for and how sure it is; mistakes are coloured.

    Args:
        test_images: (N, C, H, W), grey or RGB.
        runs: the predictions of all N images by the run's name, whose words stand above its column.
        chosen: which images to show, in this order; none at all gives a picture that says so.
        classes: their names; what does not fit is cut.
    """
    if len(chosen) == 0 or not runs:
        return _sentence("no such images")
    names = [name.replace("=", "= ").split() if _width(name, DETAIL) > 2 * TILE else name.split() for name in runs]
    head = max(map(len, names)) * (DETAIL + 2) + GAP
    left = 2 * TILE + 2 * GAP  # the image and its truth
    step = TILE + 2
    picture, draw = _paper(left + len(runs) * step + GAP, head + len(chosen) * (TILE + GAP) + GAP)
    draw.text((TILE + 2 * GAP, head - GAP), "true", GREY, _font(DETAIL), anchor="ld")
    for column, words in enumerate(names):
        for line, word in enumerate(reversed(words)):  # the last word stands at the bottom
            place = (left + column * step + TILE // 2, head - GAP - line * (DETAIL + 2))
            size = _common_size([word], TILE, DETAIL, smallest=8)
            draw.text(place, _cut(word, TILE, size), INK, _font(size), anchor="md")
    size = _common_size(list(classes), TILE - 8, PAIR)
    for row, index in enumerate(chosen):
        top = head + row * (TILE + GAP)
        picture.paste(_tile(test_images[index]), (GAP, top))
        truth = int(next(iter(runs.values())).label[index])
        _answer(draw, (TILE + GAP, top), _cut(classes[truth], TILE - 8, size), size, f"#{index}", INK)
        for column, predictions in enumerate(runs.values()):
            place = (left + column * step, top)
            predicted, sure = int(predictions.predicted[index]), percent(predictions.confidence[index])
            if predicted != truth:
                draw.rectangle((*place, place[0] + TILE - 1, top + TILE - 1), fill=WRONG_PAPER, outline=WRONG)
            ink = INK if predicted == truth else WRONG
            _answer(draw, place, _cut(classes[predicted], TILE - 8, size), size, sure, ink)
    return picture


def picture_png(picture: Image.Image) -> bytes:
    """A picture as PNG; equal pictures give equal bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def percent(confidence: float) -> str:
    """A probability in whole percent; never 100% for what is less."""
    return ">99%" if 0.995 <= confidence < 1 else f"{confidence:.0%}"


def _answer(draw: ImageDraw.ImageDraw, place: tuple[int, int], word: str, size: int, detail: str, ink: str) -> None:
    """A large word over a small one, in the middle of a tile at `place`."""
    middle = place[0] + TILE // 2
    draw.text((middle, place[1] + TILE // 2 + 3), word, ink, _font(size), anchor="md")
    draw.text((middle, place[1] + TILE // 2 + 7), detail, GREY, _font(DETAIL), anchor="ma")


def _pair(draw: ImageDraw.ImageDraw, place: tuple[int, int], pair: tuple[str, str], size: int) -> None:
    """`true > predicted`, the predicted class in the colour of mistakes, in the middle of a tile's bar."""
    font, arrow = _font(size), " > "
    room = int(TILE - _width(arrow, size))
    halves = [room - min(int(_width(word, size)) + 1, room // 2) for word in reversed(pair)]  # a short one leaves room
    true, predicted = (_cut(word, half, size) for word, half in zip(pair, halves, strict=True))
    start = place[0] + (TILE - _width(true + arrow + predicted, size)) / 2
    draw.text((start, place[1]), true, INK, font)
    draw.text((start + _width(true, size), place[1]), arrow, GREY, font)
    draw.text((start + _width(true + arrow, size), place[1]), predicted, WRONG, font)


def _tile(image: Bytes) -> Image.Image:
    """An image (C, H, W) as an RGB picture of a tile's size."""
    colours = np.ascontiguousarray(np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0))  # (H, W, 3)
    return Image.fromarray(colours).resize((TILE, TILE), Image.Resampling.BICUBIC)


def _paper(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (width, height), PAPER)
    return picture, ImageDraw.Draw(picture)


def _sentence(words: str) -> Image.Image:
    width = 4 * TILE
    picture, draw = _paper(width, TILE)
    draw.text((width // 2, TILE // 2), words, GREY, _font(PAIR), anchor="mm")
    return picture


@functools.cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size=size)


def _width(words: str, size: int) -> float:
    return _font(size).getlength(words)


def _common_size(lines: Sequence[str], width: int, largest: int = PAIR, smallest: int = SMALLEST) -> int:
    """The largest font size at which every line fits into so many pixels, within limits."""
    fits = (size for size in range(largest, smallest, -1) if all(_width(line, size) <= width for line in lines))
    return next(fits, smallest)


def _cut(words: str, width: float, size: int) -> str:
    """As much of `words` as fits into so many pixels."""
    if _width(words, size) <= width:
        return words
    ends = (words[:end] + "." for end in range(len(words) - 1, 0, -1))
    return next((cut for cut in ends if _width(cut, size) <= width), words[:1])
