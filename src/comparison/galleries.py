"""Grids of test images with answers: large enough to be read when the whole grid is a small preview."""

import functools
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from src.comparison.answers import CellAnswers
from src.comparison.labels import Suspect
from src.comparison.mistakes import Indices
from src.data.idx import Bytes
from src.runs.predictions import Predictions

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

TILE = 64  # pixels a side of an image
GAP = 6
STEP = TILE + 8  # from one column of answers to the next
HEADING = 13  # font size in pixels
PAIR, DETAIL = 18, 11  # font sizes in pixels: true > predicted, confidence and index
SMALLEST = 10
ONE_SEED = "under each answer its confidence; mistakes are framed"
SEEDS = "under each answer its mean confidence and how many seeds give it; framed where most seeds are wrong"
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


@dataclass(frozen=True)
class _Answer:
    """One square of a row: a large word over one or two small lines."""

    word: str
    details: tuple[str, ...]
    ink: str = INK
    framed: bool = False


def side_by_side(
    test_images: Bytes,
    cells: Mapping[str, CellAnswers],
    chosen: Indices,
    classes: Sequence[str],
    heading: str,
    suspects: Sequence[Suspect] = (),
) -> Image.Image:
    """A row an image, a column a cell: what most of its seeds take the image for and how sure all are of it.

    Over several seeds a last line says how many of them give that answer.  Other classes than the label are coloured;
    a frame is around what more than half of the seeds get wrong, even where no wrong class is the most frequent answer.

    Args:
        test_images: (N, C, H, W), grey or RGB.
        cells: the answers by the cell's label, whose words stand above its column.
        chosen: which images to show, in this order; none at all gives a picture that says so.
        classes: their names; what does not fit is cut.
        heading: what the picture shows.
        suspects: for each chosen image the class suggested in place of its label, shown in a column of its own.
    """
    if len(chosen) == 0 or not cells:
        return _sentence(f"{heading}: no such images")
    label = next(iter(cells.values())).label
    columns = {"label": [_Answer(classes[label[index]], (f"#{index}",)) for index in chosen]}
    if suspects:
        columns["suggested"] = [
            _Answer(classes[one.suggested], (percent(one.confidence), f"{one.share:.0%} runs")) for one in suspects
        ]
    columns |= {name: _column(cell, chosen, classes) for name, cell in cells.items()}
    left = TILE + 2 * GAP
    width = left + max(len(columns), 4) * STEP + GAP
    legend = SEEDS if any(len(cell.runs) > 1 for cell in cells.values()) else ONE_SEED
    lines = [
        *((line, HEADING, INK) for line in _wrapped(heading, width - 2 * GAP, HEADING)),
        *((line, DETAIL, GREY) for line in _wrapped(legend, width - 2 * GAP, DETAIL)),
    ]
    below = GAP + len(lines) * (HEADING + 4) + GAP + _head_height(columns) + GAP
    picture, draw = _paper(width, below + len(chosen) * (TILE + GAP))
    for position, (line, size, ink) in enumerate(lines):
        draw.text((GAP, GAP + position * (HEADING + 4)), line, ink, _font(size))
    for row, index in enumerate(chosen):
        picture.paste(_tile(test_images[index]), (GAP, below + row * (TILE + GAP)))
    size = _common_size(list(classes), TILE - 8, PAIR + 4)
    for column, (name, answers) in enumerate(columns.items()):
        place = left + column * STEP
        _head(draw, (place + TILE // 2, below - GAP), name)
        for row, answer in enumerate(answers):
            _answer(draw, (place, below + row * (TILE + GAP)), answer, size)
    return picture


def _column(cell: CellAnswers, chosen: Indices, classes: Sequence[str]) -> list[_Answer]:
    """One cell's answers to the chosen images."""
    answers, wrong = [], cell.wrong
    for index in chosen:
        predicted = int(cell.predicted[index])
        votes = (f"{cell.votes[index]}/{len(cell.runs)}",) if len(cell.runs) > 1 else ()
        details = (percent(cell.confidence[index]), *votes)
        ink = INK if predicted == cell.label[index] else WRONG
        answers.append(_Answer(classes[predicted], details, ink, bool(wrong[index])))
    return answers


def picture_png(picture: Image.Image) -> bytes:
    """A picture as PNG; equal pictures give equal bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def percent(confidence: float) -> str:
    """A probability in whole percent; never 100% for what is less."""
    return ">99%" if 0.995 <= confidence < 1 else f"{confidence:.0%}"


def _answer(draw: ImageDraw.ImageDraw, place: tuple[int, int], answer: _Answer, size: int) -> None:
    """An answer in the square at `place`."""
    middle, top = place[0] + TILE // 2, place[1]
    if answer.framed:
        draw.rectangle((*place, place[0] + TILE - 1, top + TILE - 1), fill=WRONG_PAPER, outline=WRONG)
    word = _cut(answer.word, TILE - 8, size)
    draw.text((middle, top + 30), word, answer.ink, _font(size), anchor="ms")
    for line, detail in enumerate(answer.details):
        draw.text((middle, top + 45 + line * (DETAIL + 2)), detail, GREY, _font(DETAIL), anchor="ms")


def _head(draw: ImageDraw.ImageDraw, place: tuple[int, int], name: str) -> None:
    """A column's name, a word a line, its last one's foot in the middle at `place`."""
    for line, word in enumerate(reversed(_words(name))):
        size = _common_size([word], STEP - 2, DETAIL, smallest=8)
        height = place[1] - line * (DETAIL + 3)
        draw.text((place[0], height), _cut(word, STEP - 2, size), INK, _font(size), anchor="md")


def _head_height(names: Iterable[str]) -> int:
    return max(len(_words(name)) for name in names) * (DETAIL + 3)


def _words(name: str) -> list[str]:
    """A cell's label in lines: one a word, a key that is too long apart from its value."""
    words = name.split()
    return [
        part for word in words for part in (word.replace("=", "= ").split() if _width(word, DETAIL) > STEP else [word])
    ]


def _wrapped(words: str, width: int, size: int) -> list[str]:
    """As many lines as the words take."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


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
    width = max(4 * TILE, math.ceil(_width(words, PAIR)) + 4 * GAP)
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
