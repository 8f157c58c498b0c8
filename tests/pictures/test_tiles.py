import io

import numpy as np
import pytest
from PIL import Image

from src.pictures.tiles import GAP, TILE_SIZE, confidence_text, draw_mistake_grid, picture_png, tile_picture
from src.runs.predictions import worst_mistakes

LABELS = np.arange(30) % 4
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def predictions(world):
    return world.predict(LABELS, {index: 0.6 + index / 100 for index in (3, 8, 13, 21, 22, 29)}, 4)


def tile_colours(picture, columns, rows):
    """The colour in the middle of each tile, row by row."""
    height = (picture.height - GAP) // rows
    return [
        picture.getpixel((GAP + column * (TILE_SIZE + GAP) + TILE_SIZE // 2, GAP + row * height + TILE_SIZE // 2))
        for row in range(rows)
        for column in range(columns)
    ]


def test_the_chosen_images_stand_in_the_given_order(grey, predictions):
    chosen = worst_mistakes(predictions, 6)
    picture = draw_mistake_grid(grey, predictions, chosen, NAMES, 3)
    assert tile_colours(picture, 3, 2) == [(8 * int(index),) * 3 for index in chosen]
    assert picture.mode == "RGB"


def test_fewer_mistakes_than_tiles_leave_paper(grey, predictions):
    picture = draw_mistake_grid(grey, predictions, worst_mistakes(predictions, 25)[:5], NAMES, 3)
    assert tile_colours(picture, 3, 2)[5] == (255, 255, 255)
    worst = worst_mistakes(predictions, 2)
    assert draw_mistake_grid(grey, predictions, worst, NAMES, 5).width == 2 * (TILE_SIZE + GAP) + GAP


def test_no_mistakes_make_a_picture_that_says_so(grey, predictions):
    picture = draw_mistake_grid(grey, predictions, np.array([], dtype=np.int64), NAMES, 5)
    assert len(picture.getcolors(10_000) or []) > 1  # letters on paper


def test_colours_of_an_image_are_kept(predictions):
    red = np.zeros((30, 3, 32, 32), dtype=np.uint8)
    red[:, 0] = 200
    picture = draw_mistake_grid(red, predictions, np.array([3]), NAMES, 5)
    assert tile_colours(picture, 1, 1) == [(200, 0, 0)]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_the_tiles_size_keeps_its_pixels_and_others_their_colour(channels):
    image = np.random.default_rng(1).integers(0, 256, (channels, TILE_SIZE, TILE_SIZE), dtype=np.uint8)
    assert np.array_equal(np.asarray(tile_picture(image)), np.broadcast_to(image, (3, 64, 64)).transpose(1, 2, 0))
    for size in (8, 32, 224):
        plain = np.broadcast_to(
            np.array([200, 30, 90][:channels], dtype=np.uint8)[:, None, None], (channels, size, size)
        )
        colours = np.asarray(tile_picture(plain)).reshape(-1, 3)
        assert (colours == ([200, 30, 90] if channels == 3 else [200, 200, 200])).all()


def test_labels_say_true_predicted_confidence_and_index(grey, predictions, words):
    draw_mistake_grid(grey, predictions, np.array([21]), NAMES, 5)
    assert words == ["b", " > ", "c", "81%", "#21"]


def test_names_that_do_not_fit_on_one_line_stand_on_two_and_are_not_cut(grey, predictions, words):
    draw_mistake_grid(grey, predictions, np.array([21]), ("airplane", "automobile", "airplane", "automobile"), 5)
    assert words == ["automobile", "> ", "airplane", "81%", "#21"]


@pytest.mark.parametrize("columns", [1, 5])
def test_long_names_stay_inside_their_tile(grey, predictions, columns):
    names = ("an extraordinarily long name", "W" * 40, "automobile", "airplane")
    picture = draw_mistake_grid(grey, predictions, worst_mistakes(predictions, 6), names, columns)
    shown = np.asarray(picture)
    for column in range(min(columns, 5) + 1):
        left = column * (TILE_SIZE + GAP)
        assert (shown[:, left + 2 : left + GAP - 2] == 255).all()  # the paper between tiles


def test_confidence_is_never_rounded_up_to_certainty():
    assert [confidence_text(p) for p in (0.31, 0.9949, 0.9951, 0.99999, 1.0)] == ["31%", "99%", ">99%", ">99%", "100%"]


def test_a_pictures_bytes_are_a_png_of_it(grey, predictions):
    picture = draw_mistake_grid(grey, predictions, worst_mistakes(predictions, 6), NAMES, 3)
    back = Image.open(io.BytesIO(picture_png(picture)))
    assert back.format == "PNG"
    assert back.tobytes() == picture.tobytes()
    assert picture_png(picture) == picture_png(back)
