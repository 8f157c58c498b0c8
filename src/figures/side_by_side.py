"""Draws test images with the predictions of many cells beside each image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from src.data.idx import Bytes
from src.errors.answers import CellPredictions
from src.errors.labels import Suspect
from src.pictures import tiles
from src.pictures.tiles import DETAIL_SIZE, GAP, GREY, INK, RED, TILE_SIZE, confidence_text, text_width
from src.runs.predictions import Indices

COLUMN_WIDTH = TILE_SIZE + 8  # pixels from one column to the next
HEADING_SIZE = 13  # font size in pixels
ONE_SEED_LEGEND = "Below each prediction is its confidence.  A frame marks a mistake."
LEGEND = "Below each prediction: its mean confidence and how many seeds predict it.  A frame: most seeds are wrong."
PALE_RED = "#fde3d3"


@dataclass(frozen=True)
class _Square:
    """The text of a square of the picture: a large word (a class) above small lines (such as the confidence)."""

    word: str
    details: tuple[str, ...]
    ink: str = INK
    framed: bool = False


def draw_side_by_side(
    test_images: Bytes,
    cells: Mapping[str, CellPredictions],
    indices: Indices,
    classes: Sequence[str],
    heading: str,
    suspects: Sequence[Suspect] = (),
) -> Image.Image:
    """Draw a row per image and a column per cell: the class that most seeds predict, and its mean confidence.

    With several seeds, a third line counts the seeds with this prediction.  Wrong classes are red.  A frame marks
    an image that more than half of the seeds misclassify, even if the most frequent prediction is right.

    `test_images` (N, C, H, W) are grey or RGB.  `indices` are the positions of the images to draw, in this order.
    `suspects` is empty, or holds a suspected label error for each image to draw.
    """
    if len(indices) == 0 or not cells:
        return tiles.message_picture(f"{heading}: no such images")
    label = next(iter(cells.values())).label
    columns = {"label": [_Square(classes[label[index]], (f"#{index}",)) for index in indices]}
    if suspects:
        columns["suggested"] = [
            _Square(classes[suspect.suggested], (confidence_text(suspect.confidence), f"{suspect.share:.0%} runs"))
            for suspect in suspects
        ]
    columns |= {name: _column_squares(cell, indices, classes) for name, cell in cells.items()}
    first_column_left = TILE_SIZE + 2 * GAP
    width = first_column_left + max(len(columns), 4) * COLUMN_WIDTH + GAP
    legend_text = LEGEND if any(len(cell.runs) > 1 for cell in cells.values()) else ONE_SEED_LEGEND
    lines = [(line, HEADING_SIZE, INK) for line in _wrap_text(heading, width - 2 * GAP, HEADING_SIZE)]
    lines += [(line, DETAIL_SIZE, GREY) for line in _wrap_text(legend_text, width - 2 * GAP, DETAIL_SIZE)]
    names_height = max(len(_name_lines(name)) for name in columns) * (DETAIL_SIZE + 3)
    first_row_top = GAP + len(lines) * (HEADING_SIZE + 4) + GAP + names_height + GAP
    picture, draw = tiles.blank_picture(width, first_row_top + len(indices) * (TILE_SIZE + GAP))
    for position, (line, size, ink) in enumerate(lines):
        draw.text((GAP, GAP + position * (HEADING_SIZE + 4)), line, ink, tiles.font(size))
    for row, index in enumerate(indices):
        picture.paste(tiles.tile_picture(test_images[index]), (GAP, first_row_top + row * (TILE_SIZE + GAP)))
    size = tiles.common_font_size(list(classes), TILE_SIZE - 8, tiles.PAIR_SIZE + 4)
    for column, (name, squares) in enumerate(columns.items()):
        x = first_column_left + column * COLUMN_WIDTH
        _draw_column_name(draw, (x + TILE_SIZE // 2, first_row_top - GAP), name)
        for row, square in enumerate(squares):
            _draw_square(draw, (x, first_row_top + row * (TILE_SIZE + GAP)), square, size)
    return picture


def _column_squares(cell: CellPredictions, indices: Indices, classes: Sequence[str]) -> list[_Square]:
    squares, wrong = [], cell.wrong
    for index in indices:
        predicted = int(cell.predicted[index])
        votes = (f"{cell.votes[index]}/{len(cell.runs)}",) if len(cell.runs) > 1 else ()
        details = (confidence_text(cell.confidence[index]), *votes)
        ink = INK if predicted == cell.label[index] else RED
        squares.append(_Square(classes[predicted], details, ink, bool(wrong[index])))
    return squares


def _draw_square(draw: ImageDraw.ImageDraw, corner: tuple[int, int], square: _Square, size: int) -> None:
    """Draw the text of a square; `corner` is the upper left corner of the square."""
    middle, top = corner[0] + TILE_SIZE // 2, corner[1]
    if square.framed:
        draw.rectangle((*corner, corner[0] + TILE_SIZE - 1, top + TILE_SIZE - 1), fill=PALE_RED, outline=RED)
    word = tiles.cut_text(square.word, TILE_SIZE - 8, size)
    draw.text((middle, top + 30), word, square.ink, tiles.font(size), anchor="ms")
    for line, detail in enumerate(square.details):
        draw.text((middle, top + 45 + line * (DETAIL_SIZE + 2)), detail, GREY, tiles.font(DETAIL_SIZE), anchor="ms")


def _draw_column_name(draw: ImageDraw.ImageDraw, bottom: tuple[int, int], name: str) -> None:
    """Write the name of a column; `bottom` is the middle of the lower edge of its last line."""
    for line, word in enumerate(reversed(_name_lines(name))):
        size = tiles.common_font_size([word], COLUMN_WIDTH - 2, DETAIL_SIZE, smallest=8)
        y = bottom[1] - line * (DETAIL_SIZE + 3)
        draw.text((bottom[0], y), tiles.cut_text(word, COLUMN_WIDTH - 2, size), INK, tiles.font(size), anchor="md")


def _name_lines(name: str) -> list[str]:
    """Split the name of a cell into one line per word.  A `key=value` that is too wide becomes two lines."""
    words = (word.replace("=", "= ") if text_width(word, DETAIL_SIZE) > COLUMN_WIDTH else word for word in name.split())
    return " ".join(words).split()


def _wrap_text(words: str, width: int, size: int) -> list[str]:
    """Wrap text in lines of at most `width` pixels."""
    lines = [""]
    for word in words.split():
        longer_line = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer_line, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer_line
    return lines
