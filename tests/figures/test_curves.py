from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.figures.curves import curves
from src.pictures.colours import colour
from src.pictures.rendering import png, svg
from src.results.records import load_records


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
