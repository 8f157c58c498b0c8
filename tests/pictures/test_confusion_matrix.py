import io
import itertools
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.pictures.confusion_matrix import draw_confusion_matrix
from src.pictures.rendering import render_png, render_svg
from src.runs.predictions import Predictions, confusion_counts


@pytest.fixture
def predictions(world):
    return world.predict(np.arange(4000) % 4, dict.fromkeys((0, 4, 8, 1, 2, 3), 0.9), 4)


def test_the_confusion_matrix_writes_every_count(predictions):
    axes = draw_confusion_matrix(predictions, ["a", "b", "c", "d"]).axes[0]
    counts = confusion_counts(predictions.label, predictions.predicted, 4)
    written = {(text.get_position()): text.get_text() for text in axes.texts if "%" not in text.get_text()}
    assert written == {(column, row): str(counts[row, column]) for row, column in zip(*np.nonzero(counts), strict=True)}
    assert [text.get_text() for text in axes.texts if "%" in text.get_text()] == ["99.7%", "99.9%", "99.9%", "99.9%"]


def test_one_error_beside_a_thousand_hits_is_coloured(predictions):
    image: Any = draw_confusion_matrix(predictions, ["a", "b", "c", "d"]).axes[0].images[0]
    assert image.get_clim() == (0, 3)  # the most frequent error, not the diagonal
    assert np.ma.getmaskarray(image.get_array()).diagonal().all()
    assert image.get_array()[1, 2] == 1


def test_a_perfect_run_and_a_hundred_classes_can_be_drawn(world):
    perfect = world.predict(np.arange(8) % 4, {}, 4)
    assert render_png(draw_confusion_matrix(perfect, ["a", "b", "c", "d"]))[:4] == b"\x89PNG"
    label = np.arange(1000) % 100
    many = Predictions(label, label[::-1].copy(), np.full((1000, 100), 0.01, dtype=np.float32))
    names = [f"class {k}" for k in range(100)]
    figure = draw_confusion_matrix(many, names)
    assert render_png(figure)[:4] == b"\x89PNG"
    for labels in (figure.axes[0].get_xticklabels(), figure.axes[0].get_yticklabels()):
        boxes = [label.get_window_extent() for label in labels]
        assert [label.get_text() for label in labels] == names
        assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def test_equal_figures_are_equal_bytes_without_date_or_version(predictions):
    once, again = (render_png(draw_confusion_matrix(predictions, ["a", "b", "c", "d"])) for _ in range(2))
    assert once == again
    assert set(Image.open(io.BytesIO(once)).info) == {"dpi"}
    first, second = (render_svg(draw_confusion_matrix(predictions, ["a", "b", "c", "d"])) for _ in range(2))
    assert first == second
    assert b"<svg" in first
    assert not re.search(rb"<dc:date>|Matplotlib v", first)
