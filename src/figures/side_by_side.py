"""Grids of test images with the answers of many cells beside them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from src.data.idx import Bytes
from src.errors.answers import CellAnswers
from src.errors.labels import Suspect
from src.pictures.tiles import (
    DETAIL,
    GAP,
    GREY,
    INK,
    PAIR,
    TILE,
    WRONG,
    common_size,
    cut,
    font,
    message_picture,
    paper,
    percent,
    text_width,
    tile,
)
from src.runs.predictions import Indices

STEP = TILE + 8  # from one column of answers to the next
HEADING = 13  # font size in pixels
ONE_SEED = "under each answer its confidence; mistakes are framed"
SEEDS = "under each answer its mean confidence and how many seeds give it; framed where most seeds are wrong"
WRONG_PAPER = "#fde3d3"


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
        return message_picture(f"{heading}: no such images")
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
    picture, draw = paper(width, below + len(chosen) * (TILE + GAP))
    for position, (line, size, ink) in enumerate(lines):
        draw.text((GAP, GAP + position * (HEADING + 4)), line, ink, font(size))
    for row, index in enumerate(chosen):
        picture.paste(tile(test_images[index]), (GAP, below + row * (TILE + GAP)))
    size = common_size(list(classes), TILE - 8, PAIR + 4)
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


def _answer(draw: ImageDraw.ImageDraw, place: tuple[int, int], answer: _Answer, size: int) -> None:
    """An answer in the square at `place`."""
    middle, top = place[0] + TILE // 2, place[1]
    if answer.framed:
        draw.rectangle((*place, place[0] + TILE - 1, top + TILE - 1), fill=WRONG_PAPER, outline=WRONG)
    word = cut(answer.word, TILE - 8, size)
    draw.text((middle, top + 30), word, answer.ink, font(size), anchor="ms")
    for line, detail in enumerate(answer.details):
        draw.text((middle, top + 45 + line * (DETAIL + 2)), detail, GREY, font(DETAIL), anchor="ms")


def _head(draw: ImageDraw.ImageDraw, place: tuple[int, int], name: str) -> None:
    """A column's name, a word a line, its last one's foot in the middle at `place`."""
    for line, word in enumerate(reversed(_words(name))):
        size = common_size([word], STEP - 2, DETAIL, smallest=8)
        height = place[1] - line * (DETAIL + 3)
        draw.text((place[0], height), cut(word, STEP - 2, size), INK, font(size), anchor="md")


def _head_height(names: Iterable[str]) -> int:
    return max(len(_words(name)) for name in names) * (DETAIL + 3)


def _words(name: str) -> list[str]:
    """A cell's label in lines: one a word, a key that is too long apart from its value."""
    words = name.split()
    return [
        part
        for word in words
        for part in (word.replace("=", "= ").split() if text_width(word, DETAIL) > STEP else [word])
    ]


def _wrapped(words: str, width: int, size: int) -> list[str]:
    """As many lines as the words take."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
