import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.comparison.colours import colour
from src.comparison.figures import confusion_matrix, curves, png, svg
from src.comparison.mistakes import confusion
from src.comparison.records import load_records
from src.runs.predictions import Predictions


@pytest.fixture
def predictions(world):
    return world.predict(np.arange(4000) % 4, dict.fromkeys((0, 4, 8, 1, 2, 3), 0.9), 4)


def test_the_confusion_matrix_writes_every_count(predictions):
    axes = confusion_matrix(predictions, ["a", "b", "c", "d"]).axes[0]
    counts = confusion(predictions, 4)
    written = {(text.get_position()): text.get_text() for text in axes.texts if "%" not in text.get_text()}
    assert written == {(column, row): str(counts[row, column]) for row, column in zip(*np.nonzero(counts), strict=True)}
    assert [text.get_text() for text in axes.texts if "%" in text.get_text()] == ["99.7%", "99.9%", "99.9%", "99.9%"]


def test_one_error_beside_a_thousand_hits_is_coloured(predictions):
    image: Any = confusion_matrix(predictions, ["a", "b", "c", "d"]).axes[0].images[0]
    assert image.get_clim() == (0, 3)  # the most frequent error, not the diagonal
    assert np.ma.getmaskarray(image.get_array()).diagonal().all()
    assert image.get_array()[1, 2] == 1


def test_a_perfect_run_and_a_hundred_classes_can_be_drawn(world):
    perfect = world.predict(np.arange(8) % 4, {}, 4)
    assert png(confusion_matrix(perfect, ["a", "b", "c", "d"]))[:4] == b"\x89PNG"
    label = np.arange(1000) % 100
    many = Predictions(label, label[::-1].copy(), np.full((1000, 100), 0.01, dtype=np.float32))
    assert png(confusion_matrix(many, [str(k) for k in range(100)]))[:4] == b"\x89PNG"


def test_equal_figures_are_equal_bytes_without_date_or_version(predictions):
    once, again = (png(confusion_matrix(predictions, ["a", "b", "c", "d"])) for _ in range(2))
    assert once == again
    assert set(Image.open(io.BytesIO(once)).info) == {"dpi"}
    first, second = (svg(confusion_matrix(predictions, ["a", "b", "c", "d"])) for _ in range(2))
    assert first == second
    assert b"<svg" in first
    assert not re.search(rb"<dc:date>|Matplotlib v", first)


def test_curves_are_the_means_over_seeds_with_a_band(world, six):
    cells = load_records([six], world.multirun).cells
    figure: Any = curves(cells)
    metrics = ["train/loss", "val/loss", "train/accuracy", "val/accuracy"]
    for axes, metric in zip(figure.axes, metrics, strict=True):
        for cell, line, band in zip(cells, axes.lines, axes.collections, strict=True):
            runs = np.array([[record["metrics"][metric] for record in job.epochs] for job in cell.jobs])
            runs = runs * (1 if metric.endswith("loss") else 100)
            assert line.get_xdata().tolist() == [1, 2, 3]
            np.testing.assert_allclose(line.get_ydata(), runs.mean(axis=0))
            assert line.get_color() == colour(cell.leaves)
            heights = band.get_paths()[0].vertices[:, 1]
            assert heights.min() == pytest.approx(runs.min())
            assert heights.max() == pytest.approx(runs.max())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["bn (n = 3)", "gn (n = 3)"]


def test_cells_of_one_norm_differ_by_line_and_norms_by_marker(world):
    jobs = [world.finish(world.configuration(norm, l1=l1), {7: 0.9}) for norm in ("bn", "gn") for l1 in (0.0, 1e-5)]
    records = load_records([world.sweep(jobs)], world.multirun)
    lines: Any = curves(records.cells).axes[0].lines
    looks = {(line.get_marker(), str(line._unscaled_dash_pattern)) for line in lines}
    assert len(looks) == 4
    assert lines[0].get_marker() == lines[1].get_marker() != lines[2].get_marker()


def test_a_single_epoch_has_points(world):
    config = world.configuration()
    config.epochs = 1
    records = load_records([world.sweep([world.finish(config, {})])], world.multirun)
    figure = curves(records.cells)
    assert figure.axes[0].lines[0].get_marker() == "o"
    assert png(figure)[:4] == b"\x89PNG"


def test_a_loss_of_zero_can_be_drawn(world):
    records = load_records([world.sweep([world.finish(world.configuration(), {}, val=1.0)])], world.multirun)
    figure = curves(records.cells)
    assert figure.axes[0].get_yscale() == "linear"
    assert png(figure)[:4] == b"\x89PNG"


def test_of_very_many_cells_the_best_by_validation_are_drawn(world, six):
    cells = load_records([six], world.multirun).cells
    many = [replace(cells[k % 2], label=f"cell {k}") for k in range(60)]  # of bn the validation accuracy is higher
    figure = curves(many)
    assert [line.get_label() for line in figure.axes[0].lines] == [f"cell {k} (n = 3)" for k in range(0, 48, 2)]
    assert "24 cells" in figure.get_suptitle()


def test_a_label_is_drawn_letter_by_letter(world, six):
    cell = load_records([six], world.multirun).cells[0]
    for label in ("$\\frac{", "_hidden", "漢 <b>&", "a" * 500):
        figure = curves([replace(cell, label=label)])
        assert len(figure.legends[0].get_texts()) == 1
        assert png(figure)[:4] == b"\x89PNG"
        assert b"<svg" in svg(figure)
