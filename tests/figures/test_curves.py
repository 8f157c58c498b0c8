import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from src.figures.curves import draw_curves, draw_metric
from src.figures.figures import Drawing
from src.figures.inline import inline_curves
from src.pictures.colours import choose_colour
from src.pictures.rendering import render_png, render_svg
from src.results.results import load_results

METRICS = ["train/loss", "val/loss", "train/accuracy", "val/accuracy"]


def relabelled(results, label):
    """Results of `six` with another label in place of `bn`."""
    frames = {name: getattr(results, name).replace({"cell": {"bn": label}}) for name in ("runs", "epochs")}
    return replace(results, **frames)


def values_of(results, cell, metric):
    """A metric (seeds, epochs), accuracies in percent."""
    table = results.epochs[results.epochs["cell"] == cell].pivot(index="seed", columns="epoch", values=metric)
    return table.to_numpy() * (1 if metric.endswith("loss") else 100)


@pytest.mark.parametrize("loss", [[1.7, 1.1, 0.75], [2.0, 0.2, 0.02]])
def test_a_loss_axis_has_three_labels_or_more(world, six, loss):
    results = load_results([six], world.multirun)
    table = results.epochs.assign(**{"val/loss": [loss[epoch - 1] for epoch in results.epochs["epoch"]]})
    axes: Any = draw_curves(replace(results, epochs=table)).axes[1]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log"
    assert sum(low <= tick <= high for tick in axes.yaxis.get_majorticklocs()) >= 3


def test_curves_are_the_means_over_seeds_with_a_band(world, six):
    results = load_results([six], world.multirun)
    figure: Any = draw_curves(results)
    for axes, metric in zip(figure.axes, METRICS, strict=True):
        for cell, line, band in zip(("bn", "gn"), axes.lines, axes.collections, strict=True):
            values = values_of(results, cell, metric)
            assert line.get_xdata().tolist() == [1, 2, 3]
            np.testing.assert_allclose(line.get_ydata(), values.mean(axis=0))
            assert line.get_color() == choose_colour({"norm.name": cell})
            heights = band.get_paths()[0].vertices[:, 1]
            assert heights.min() == pytest.approx(values.min())
            assert heights.max() == pytest.approx(values.max())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["bn (n = 3)", "gn (n = 3)"]


def test_a_single_panel_shows_the_lines_of_one_metric(world, six):
    results = load_results([six], world.multirun)
    axes: Any = draw_metric(results, "val/accuracy").axes[0]
    np.testing.assert_allclose(axes.lines[1].get_ydata(), values_of(results, "gn", "val/accuracy").mean(axis=0))
    assert draw_metric(results, "val/loss").axes[0].get_yscale() == "log"


def test_cells_of_one_norm_differ_by_line_and_norms_by_marker(world):
    jobs = [world.finish(world.configuration(norm, l1=l1), {7: 0.9}) for norm in ("bn", "gn") for l1 in (0.0, 1e-5)]
    lines: Any = draw_curves(load_results([world.sweep(jobs)], world.multirun)).axes[0].lines
    looks = {(line.get_marker(), str(line._unscaled_dash_pattern)) for line in lines}
    assert len(looks) == 4
    assert lines[0].get_marker() == lines[1].get_marker() != lines[2].get_marker()


def test_a_single_epoch_has_points(world):
    config = world.configuration()
    config.epochs = 1
    figure = draw_curves(load_results([world.sweep([world.finish(config, {})])], world.multirun))
    assert figure.axes[0].lines[0].get_marker() == "o"
    assert render_png(figure)[:4] == b"\x89PNG"


def test_a_loss_of_zero_can_be_drawn(world):
    results = load_results([world.sweep([world.finish(world.configuration(), {}, val=1.0)])], world.multirun)
    figure = draw_curves(results)
    assert figure.axes[0].get_yscale() == "linear"
    assert render_png(figure)[:4] == b"\x89PNG"


def test_of_very_many_cells_the_best_by_validation_are_drawn(world):
    jobs = []
    for k in range(40):
        accuracy = 0.9 if k % 2 == 0 else 0.8
        jobs.append(world.finish(world.configuration(l1=k / 1000), {7: 0.9}, val=accuracy))
    figure = draw_curves(load_results([world.sweep(jobs)], world.multirun))
    best = [f"bn l1={k / 1000:g}" for k in range(40) if k % 2 == 0]
    drawn = [line.get_label() for line in figure.axes[0].lines]
    assert len(drawn) == 24
    assert set(best) < set(drawn)
    assert "24 cells" in figure.get_suptitle()
    assert "40" in figure.get_suptitle()


def test_a_label_is_drawn_letter_by_letter(world, six):
    results = load_results([six], world.multirun)
    for label in ("$\\frac{", "_hidden", "漢 <b>&", "a" * 500):
        figure = draw_curves(relabelled(results, label))
        assert len(figure.legends[0].get_texts()) == 2
        assert render_png(figure)[:4] == b"\x89PNG"
        assert b"<svg" in render_svg(figure)


def test_the_page_has_the_place_and_the_numbers_of_every_point(world, six):
    results = load_results([six], world.multirun)
    drawing = Drawing("", "", draw_curves(results))
    found = inline_curves(results, drawing)
    ids = re.findall(r'<g id="(cell-[^"]+)"', found.svg)
    assert sorted(ids) == sorted(
        f"cell-{k}-{part}-{panel}" for k in (0, 1) for part in ("line", "band") for panel in range(4)
    )
    assert [(line["cell"], line["seeds"]) for line in found.lines] == [(0, 3), (1, 3)] * 4
    for line, metric in zip(found.lines[::2], METRICS, strict=True):
        values = values_of(results, "bn", metric)
        stacked = np.stack([values.mean(axis=0), values.min(axis=0), values.max(axis=0)], axis=1)
        np.testing.assert_allclose([point[2:] for point in line["points"]], stacked, rtol=1e-5)
    # The SVG's own path of the last line goes through the same places.
    path = re.search(r'<g id="cell-1-line-3">\s*<path d="M ([^"]+)"', found.svg)
    assert path
    numbers = [float(word) for word in re.findall(r"[\d.]+", path[1])]
    np.testing.assert_allclose(numbers, np.ravel([point[:2] for point in found.lines[-1]["points"]]), atol=0.06)


def test_a_check_box_shows_the_line_of_its_cell(world):
    jobs = [world.finish(world.configuration("bn", l1=l1), {7: 0.9}) for l1 in (0.0, 1e-5)]
    results = load_results([world.sweep(jobs)], world.multirun)
    solid, dashed = inline_curves(results, Drawing("", "", draw_curves(results))).boxes
    assert (solid.label, solid.colour, solid.dashes) == ("bn l1=0", choose_colour({"norm.name": "bn"}), "none")
    assert dashed.dashes == "15 6"
