import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from src.comparison.answers import read_answers
from src.comparison.galleries import GAP, STEP, TILE, mistake_grid, percent, picture_png, side_by_side
from src.comparison.labels import Suspect
from src.comparison.mistakes import worst_mistakes
from src.comparison.records import Cell
from src.runs.predictions import save_predictions

LABELS = np.arange(30) % 4
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def grey():
    """Thirty plain images, each of its own brightness."""
    return np.broadcast_to((8 * np.arange(30, dtype=np.uint8))[:, None, None, None], (30, 1, 28, 28)).copy()


@pytest.fixture
def predictions(world):
    return world.predict(LABELS, {index: 0.6 + index / 100 for index in (3, 8, 13, 21, 22, 29)}, 4)


def tile_colours(picture, columns, rows):
    """The colour in the middle of each tile, row by row."""
    height = (picture.height - GAP) // rows
    return [
        picture.getpixel((GAP + column * (TILE + GAP) + TILE // 2, GAP + row * height + TILE // 2))
        for row in range(rows)
        for column in range(columns)
    ]


def test_the_chosen_images_stand_in_the_given_order(grey, predictions):
    chosen = worst_mistakes(predictions, 6)
    picture = mistake_grid(grey, predictions, chosen, NAMES, 3)
    assert tile_colours(picture, 3, 2) == [(8 * int(index),) * 3 for index in chosen]
    assert picture.mode == "RGB"


def test_fewer_mistakes_than_tiles_leave_paper(grey, predictions):
    picture = mistake_grid(grey, predictions, worst_mistakes(predictions, 25)[:5], NAMES, 3)
    assert tile_colours(picture, 3, 2)[5] == (255, 255, 255)
    assert mistake_grid(grey, predictions, worst_mistakes(predictions, 2), NAMES, 5).width == 2 * (TILE + GAP) + GAP


def test_no_mistakes_make_a_picture_that_says_so(grey, predictions):
    picture = mistake_grid(grey, predictions, np.array([], dtype=np.int64), NAMES, 5)
    assert len(picture.getcolors(10_000) or []) > 1  # letters on paper


def test_colours_of_an_image_are_kept(predictions):
    red = np.zeros((30, 3, 32, 32), dtype=np.uint8)
    red[:, 0] = 200
    picture = mistake_grid(red, predictions, np.array([3]), NAMES, 5)
    assert tile_colours(picture, 1, 1) == [(200, 0, 0)]


@pytest.fixture
def words(monkeypatch):
    """All that is drawn in letters."""
    said = []
    draw = ImageDraw.ImageDraw.text

    def listen(self, place, words, *rest, **named):
        said.append(words)
        draw(self, place, words, *rest, **named)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", listen)
    return said


def test_labels_say_true_predicted_confidence_and_index(grey, predictions, words):
    mistake_grid(grey, predictions, np.array([21]), NAMES, 5)
    assert words == ["b", " > ", "c", "81%", "#21"]


@pytest.mark.parametrize("columns", [1, 5])
def test_long_names_stay_inside_their_tile(grey, predictions, columns):
    names = ("an extraordinarily long name", "W" * 40, "automobile", "airplane")
    picture = mistake_grid(grey, predictions, worst_mistakes(predictions, 6), names, columns)
    shown = np.asarray(picture)
    for column in range(min(columns, 5) + 1):
        left = column * (TILE + GAP)
        assert (shown[:, left + 2 : left + GAP - 2] == 255).all()  # the paper between tiles


def test_confidence_is_never_rounded_up_to_certainty():
    assert [percent(p) for p in (0.31, 0.9949, 0.9951, 0.99999, 1.0)] == ["31%", "99%", ">99%", ">99%", "100%"]


def answered(world, tmp_path, *seeds, classes=4):
    """A cell's answers, whose seeds misclassify so."""
    jobs = []
    for seed, wrong in enumerate(seeds):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        save_predictions(folder / "predictions.npz", world.predict(LABELS, wrong, classes))
        start = {"source": {"test": len(LABELS), "classes": NAMES[:classes]}}
        jobs.append(SimpleNamespace(folder=SimpleNamespace(path=folder), leaves={"seed": seed}, start=start))
    return read_answers([Cell("key", "cell", tuple(jobs))]).cells["cell"]


def corners(picture, columns, rows):
    """The colour just inside each answer's corner, row by row."""
    tops = [picture.height - (rows - row) * (TILE + GAP) for row in range(rows)]
    lefts = [TILE + 2 * GAP + column * STEP for column in range(1, columns + 1)]  # after the labels
    return [[picture.getpixel((left + 3, top + 3)) for left in lefts] for top in tops]


def test_side_by_side_frames_the_cells_that_are_wrong(grey, world, tmp_path):
    cells = {
        "bn": answered(world, tmp_path, {5: 0.9, 6: 0.8}),
        "gn label_smoothing=0.1": answered(world, tmp_path, {5: 0.7}),
    }
    picture = side_by_side(grey, cells, np.array([5, 6]), NAMES, "wrong")
    wrong, paper = (253, 227, 211), (255, 255, 255)
    assert corners(picture, 2, 2) == [[wrong, wrong], [wrong, paper]]
    for row, index in enumerate((5, 6)):
        top = picture.height - (2 - row) * (TILE + GAP)
        assert picture.getpixel((GAP + TILE // 2, top + TILE // 2)) == (8 * index,) * 3


def test_several_seeds_answer_by_majority_with_mean_confidence_and_votes(grey, world, tmp_path, words):
    cells = {"bn": answered(world, tmp_path, {5: 0.9}, {5: 0.7}, {})}
    side_by_side(grey, cells, np.array([5]), NAMES, "Heading")
    # Label b; two of three say c: (0.9 + 0.7 + 0.1 / 3) / 3.
    assert words[-3:] == ["c", "54%", "2/3"]
    assert words[0] == "Heading"


def test_a_cell_that_is_wrong_in_several_ways_is_framed_though_the_label_leads(grey, world, tmp_path):
    cell = answered(world, tmp_path, {}, {5: 0.4}, {5: 0.4})
    cell.runs["cell s2"].predicted[5] = 3
    cell.votes[5] = 1
    cell.predicted[5] = 1
    assert cell.wrong[5]
    picture = side_by_side(grey, {"bn": cell}, np.array([5]), NAMES, "wrong")
    assert corners(picture, 1, 1) == [[(253, 227, 211)]]


def test_one_seed_needs_no_votes(grey, world, tmp_path, words):
    side_by_side(grey, {"bn": answered(world, tmp_path, {5: 0.9})}, np.array([5]), NAMES, "Heading")
    assert words[-2:] == ["c", "90%"]
    assert not [word for word in words if "seeds" in word]


def test_suspected_labels_stand_beside_what_is_suggested(grey, world, tmp_path, words):
    suspects = [Suspect(5, 1, 2, 0.75, 0.93)]
    side_by_side(grey, {"bn": answered(world, tmp_path, {5: 0.9})}, np.array([5]), NAMES, "Heading", suspects)
    start = words.index("label")
    assert words[start : start + 7] == ["label", "b", "#5", "suggested", "c", "93%", "75% runs"]


def test_long_labels_and_headings_stay_inside_the_picture(grey, world, tmp_path):
    name = "gn label_smoothing=0.1 an_extraordinarily_long_key_of_a_model=1e-05"
    cells = {f"{name}{k}": answered(world, tmp_path, {5: 0.9}) for k in range(2)}
    picture = side_by_side(grey, cells, np.array([5]), NAMES, "a heading of very many words " * 9)
    shown = np.asarray(picture)
    assert (shown[:, :GAP] == 255).all()
    assert (shown[:, -2:] == 255).all()
    assert (shown[:2] == 255).all()


def test_side_by_side_without_images_says_so(grey, world, tmp_path, words):
    cells = {"bn": answered(world, tmp_path, {})}
    assert side_by_side(grey, cells, np.array([], dtype=np.int64), NAMES, "Wrong").height == TILE
    assert words == ["Wrong: no such images"]


def test_a_pictures_bytes_are_a_png_of_it(grey, predictions):
    picture = mistake_grid(grey, predictions, worst_mistakes(predictions, 6), NAMES, 3)
    back = Image.open(io.BytesIO(picture_png(picture)))
    assert back.format == "PNG"
    assert back.tobytes() == picture.tobytes()
    assert picture_png(picture) == picture_png(back)
