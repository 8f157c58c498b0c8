"""The figures of a whole comparison."""

import csv
import io
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from safetensors.numpy import save_file

from src.errors.atlas import correct_by_run, read_atlases
from src.errors.calibration import calibrate
from src.figures.figures import draw_figures
from src.figures.forest import BETTER_COLOUR, EQUAL_COLOUR, MAX_ROWS, draw_forest_plot
from src.figures.heat_map import draw_heat_map
from src.figures.looks import MAX_LABEL_LENGTH, figure_label, line_styles
from src.figures.reliability import draw_reliability
from src.figures.swept import draw_accuracy_by_key, draw_weights_by_l1, swept_numeric_keys
from src.pictures.colours import choose_colour
from src.report.table import curves_csv
from src.results.results import load_results
from src.results.weights import weight_frame, zeros_frame
from src.verdict.verdicts import judge

STRENGTHS = (0.0, 1e-5, 1e-3)


@pytest.fixture
def grid(world):
    """Norms bn and gn with three strengths of L1, two seeds each; bn without L1 makes the fewest errors."""
    jobs = [
        world.finish(world.configuration(norm, seed, l1), dict.fromkeys(range(first + 3 * step + seed), 0.9))
        for norm, first in (("bn", 2), ("gn", 8))
        for step, l1 in enumerate(STRENGTHS)
        for seed in (0, 1)
    ]
    return world.sweep(jobs)


@pytest.fixture
def results(world, grid):
    return load_results([grid], world.multirun)


def write_weights(folder, **tensors):
    arrays = {name: np.array(tensor, dtype=np.float32) for name, tensor in tensors.items()}
    save_file(arrays, Path(folder) / "weights.safetensors")


def accuracies(results, **settings):
    """Test accuracies in percent (cells, seeds) of the runs with these settings."""
    runs = results.runs
    for name, value in settings.items():
        runs = runs[runs[name] == value]
    return np.stack([100 * cell.to_numpy() for _, cell in runs.groupby("cell", sort=False)["test/accuracy"]])


def test_a_comparison_is_drawn_with_all_that_its_numbers_can_show(world, grid, results):
    for folder in results.runs["folder"]:
        write_weights(folder, conv=[[0.5, 0.0]])
    groups = read_atlases(results)
    found = draw_figures(results, judge([grid], results, correct_by_run(groups)), groups)
    names = ["curves", "differences", "accuracy_by_reg_l1", "heat_map", "weights_by_l1", "reliability"]
    assert list(found) == names
    for drawing in found.values():
        assert drawing.png[:4] == b"\x89PNG"
        assert b"<svg" in drawing.svg
        assert drawing.heading
        assert drawing.alt_text.endswith(".")


def test_a_single_run_has_curves_and_a_reliability_diagram_alone(world):
    sweep = world.sweep([world.finish(world.configuration(), {7: 0.9})])
    results = load_results([sweep], world.multirun)
    groups = read_atlases(results)
    verdicts = judge([sweep], results, correct_by_run(groups))
    assert list(draw_figures(results, verdicts, groups)) == ["curves", "reliability"]


def contrasts_of(world, grid, results):
    return judge([grid], results, correct_by_run(read_atlases(results))).contrasts


def test_the_forest_has_a_row_for_each_difference_grouped_by_factor(world, grid, results):
    contrasts = contrasts_of(world, grid, results)
    axes = draw_forest_plot(contrasts).axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == [item.better_first.question for item in contrasts]
    assert [row.startswith("l1=") for row in rows] == sorted(row.startswith("l1=") for row in rows)
    band = axes.patches[0]
    assert (band.get_x(), band.get_width()) == pytest.approx((-0.1, 0.2))


@pytest.mark.parametrize(
    ("low", "high", "face"), [(0.02, 0.06, BETTER_COLOUR), (-0.0001, 0.0005, EQUAL_COLOUR), (-0.01, 0.05, "#ffffff")]
)
def test_a_row_of_the_forest_is_the_simultaneous_interval_and_its_outcome(world, grid, results, low, high, face):
    contrast = contrasts_of(world, grid, results)[0]
    middle = (low + high) / 2
    changed = replace(contrast, differences=(-middle, -middle), low=-high, high=-low)  # the second level is better
    axes: Any = draw_forest_plot([changed]).axes[0]
    bar, *_, point = [line for line in axes.lines if len(set(line.get_ydata())) == 1]
    np.testing.assert_allclose(bar.get_xdata(), [100 * low, 100 * high])
    np.testing.assert_allclose(point.get_xdata(), [100 * middle])
    assert to_hex(point.get_markerfacecolor()) == face
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"{contrast.second} vs {contrast.first}"]


def test_the_forest_shows_significant_differences_first_if_there_are_too_many(world, grid, results):
    contrast = contrasts_of(world, grid, results)[0]
    small = replace(contrast, differences=(0.01, 0.01), low=0.005, high=0.015)
    large = [replace(contrast, differences=(0.3 + k / 1000,) * 2, low=-0.1, high=0.7) for k in range(MAX_ROWS + 5)]
    figure = draw_forest_plot([*large, small])
    texts = [label.get_text() for label in figure.axes[0].child_axes[0].get_yticklabels()]
    assert len(texts) == MAX_ROWS
    assert texts[-1].endswith("better")
    assert figure.get_supxlabel() == f"{MAX_ROWS} of {MAX_ROWS + 6} differences"


def test_one_seed_has_no_forest(world, grid):
    sweep = world.sweep([job for job in grid.jobs if job.label.endswith("s0")])
    assert draw_forest_plot(contrasts_of(world, sweep, load_results([sweep], world.multirun))) is None


def test_accuracy_by_a_strength_has_a_line_a_norm_and_zero_apart(results):
    assert swept_numeric_keys(results) == ["reg.l1"]
    axes: Any = draw_accuracy_by_key(results, "reg.l1").axes[0]
    for container, norm in zip(axes.containers, ("bn", "gn"), strict=True):
        values = accuracies(results, **{"norm.name": norm})
        line, caps, _ = container
        np.testing.assert_allclose(line.get_ydata(), values.mean(axis=1))
        np.testing.assert_allclose(caps[0].get_ydata(), values.min(axis=1))
        assert line.get_color() == choose_colour({"norm.name": norm})
        zero, low, high = line.get_xdata()
        assert high - low == pytest.approx(2)  # powers of ten
        assert zero < low
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1e-05", "0.001"]
    assert axes.containers[0].get_label() == "bn"


def test_a_swept_number_that_is_no_strength_stands_where_it_is(world):
    jobs = []
    for epochs in (1, 2, 4):
        config = world.configuration()
        config.epochs = epochs
        jobs.append(world.finish(config, {7: 0.9}))
    results = load_results([world.sweep(jobs)], world.multirun)
    assert draw_accuracy_by_key(results, "epochs").axes[0].lines[0].get_xdata().tolist() == [1, 2, 4]


def test_the_heat_map_holds_the_mean_of_every_cell(results):
    axes: Any = draw_heat_map(results).axes[0]
    shown = np.asarray(axes.images[0].get_array())
    means = accuracies(results).mean(axis=1)
    np.testing.assert_allclose(shown.ravel(), means)
    assert [text.get_text() for text in axes.texts] == [f"{mean:.2f}" for mean in means]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bn", "gn"]


def test_two_swept_numbers_have_a_panel_a_norm_with_gaps_where_nothing_has_finished(world):
    jobs = []
    for norm, l1, l2 in (("bn", 0.0, 0.0), ("bn", 1e-5, 1e-3), ("bn", 0.0, 1e-3), ("gn", 0.0, 0.0)):
        jobs.append(world.finish(world.configuration(norm, l1=l1, l2=l2), {7: 0.9}))
    figure: Any = draw_heat_map(load_results([world.sweep(jobs)], world.multirun))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["bn", "gn"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["99.00", "none", "99.00", "99.00"]


def numbers_in(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_the_heat_map_averages_over_settings_that_stand_in_all_its_squares_alone(world):
    """The worse setting of one corner has not finished: that corner is not the better for it."""
    wrong = {"constant": 2, "cosine": 40}
    jobs = []
    for l1, l2, schedule in itertools.product((0.0, 1e-5), (0.0, 1e-4), wrong):
        config = world.configuration(l1=l1, l2=l2)
        config.schedule.name = schedule
        lost = (l1, l2, schedule) == (1e-5, 1e-4, "cosine")
        jobs.append(world.plan(config) if lost else world.finish(config, dict.fromkeys(range(wrong[schedule]), 0.9)))
    results = load_results([world.sweep(jobs)], world.multirun)
    figure: Any = draw_heat_map(results)
    assert numbers_in(figure.axes[0]) == ["98.00"] * 4
    assert figure.get_suptitle() == "test accuracy, %, mean over seeds"


def test_the_heat_map_says_what_it_averages_over(world):
    jobs = []
    for l1, l2, schedule in itertools.product((0.0, 1e-5), (0.0, 1e-4), ("constant", "cosine")):
        config = world.configuration(l1=l1, l2=l2)
        config.schedule.name = schedule
        jobs.append(world.finish(config, dict.fromkeys(range(2 + 2 * (schedule == "cosine")), 0.9)))
    figure: Any = draw_heat_map(load_results([world.sweep(jobs)], world.multirun))
    assert numbers_in(figure.axes[0]) == ["97.00"] * 4
    assert figure.get_suptitle() == "test accuracy, %, mean over seeds and schedule"


def test_what_goes_with_a_value_of_an_axis_is_no_setting_to_average_over(world):
    """As the learning rate that each optimizer's file brings along."""
    jobs = []
    for l1, (lr, name) in itertools.product((0.0, 1e-5), ((0.02, "adam"), (0.1, "rmsprop"))):
        config = world.configuration(l1=l1)
        config.optimizer.lr, config.optimizer.name = lr, name
        jobs.append(world.finish(config, dict.fromkeys(range(2), 0.9)))
    figure: Any = draw_heat_map(load_results([world.sweep(jobs)], world.multirun))
    assert numbers_in(figure.axes[0]) == ["98.00"] * 4
    assert figure.get_suptitle() == "test accuracy, %, mean over seeds"


def test_the_heat_map_keeps_datasets_apart(world):
    jobs = [
        world.finish(
            world.configuration(norm, l1=l1, data=replace(world.data, noise=noise)), dict.fromkeys(range(count), 0.9)
        )
        for norm in ("bn", "gn")
        for l1 in (0.0, 1e-5)
        for noise, count in ((0.5, 2), (0.6, 42))
    ]
    results = load_results([world.sweep(jobs)], world.multirun)
    results = replace(results, varies=("norm.name", "reg.l1"))  # as where only the files differ
    figure: Any = draw_heat_map(results)
    assert [numbers_in(axes) for axes in figure.axes] == [["98.00"] * 4, ["58.00"] * 4]
    assert all("on synthetic " in axes.get_title(loc="left") for axes in figure.axes)


def test_a_norm_s_line_over_many_settings_keeps_those_that_stand_at_all_its_values(world):
    strengths = [10.0**-power for power in range(1, 10)]
    jobs = []
    for l1, (place, l2) in itertools.product((0.0, 1e-5), enumerate(strengths)):
        config = world.configuration(l1=l1, l2=l2)
        lost = l1 > 0 and place == 0  # the worst one
        jobs.append(world.plan(config) if lost else world.finish(config, dict.fromkeys(range(60 - 6 * place), 0.9)))
    figure: Any = draw_accuracy_by_key(load_results([world.sweep(jobs)], world.multirun), "reg.l1")
    (line,) = figure.axes[0].containers
    means = line[0].get_ydata()
    assert means[0] == pytest.approx(means[1])


def test_no_two_lines_of_a_norm_look_alike():
    bn, gn = {"norm.name": "bn"}, {"norm.name": "gn"}
    styles = line_styles([bn] * 24)
    assert len(set(map(repr, styles))) == 24
    first, other, second = line_styles([bn, gn, bn])
    assert [first, second] == styles[:2]
    assert other["linestyle"] == first["linestyle"]


def test_a_long_label_keeps_its_norm_and_its_end():
    labels = [f"gn l1=1e-05 l2=0.0001 dropout=0.1 label_smoothing={value} lr=0.02" for value in (0.1, 0.2)]
    shown = [figure_label(label) for label in labels]
    assert shown[0] != shown[1]
    assert all(len(words) == MAX_LABEL_LENGTH and words.startswith("gn l1=1e-05") for words in shown)


def test_one_swept_number_alone_has_no_heat_map(world):
    jobs = [world.finish(world.configuration(l1=l1), {7: 0.9}) for l1 in STRENGTHS]
    assert draw_heat_map(load_results([world.sweep(jobs)], world.multirun)) is None


def test_weights_are_counted_without_gains_and_biases(results):
    write_weights(results.runs["folder"][0], conv=[[[0.5, -0.25]], [[0.0, 0.0005]]], gain=[100.0, 0.0])
    found = weight_frame(results.runs).iloc[0]
    assert found["magnitude"] == pytest.approx(0.7505)
    assert found["sparsity"] == 0.5


def test_exact_zeros_are_counted_per_layer_of_proximal_runs(results):
    runs = results.runs.assign(**{"reg.l1_method": ["proximal", *["subgradient"] * (len(results.runs) - 1)]})
    for folder in runs["folder"][:2]:
        write_weights(folder, conv=[[[0.5, 0.0]], [[0.0, 0.0005]]], last=[[0.0, -0.0]], gain=[100.0, 0.0])
    found = zeros_frame(runs)
    assert found[["layer", "weights", "zeros"]].to_numpy().tolist() == [["conv", 4, 2], ["last", 2, 2]]
    assert set(found["run"]) == {runs["run"][0]}
    assert zeros_frame(results.runs).empty


@pytest.mark.parametrize("content", [None, b"", b"no weights", b'\x08\x00\x00\x00\x00\x00\x00\x00{"a": 1'])
def test_weights_that_cannot_be_read_are_left_out(results, content):
    if content is not None:
        (Path(results.runs["folder"][0]) / "weights.safetensors").write_bytes(content)
    assert draw_weights_by_l1(results) is None


def test_the_weights_figure_shows_size_and_sparsity(results):
    bn = results.runs[results.runs["norm.name"] == "bn"]
    for folder, l1 in zip(bn["folder"][:4], bn["reg.l1"], strict=False):
        write_weights(folder, conv=[[1.0 + l1, 0.0]])
    size, sparsity = draw_weights_by_l1(results).axes[:2]
    np.testing.assert_allclose(size.containers[0][0].get_ydata(), [1.0, 1.00001])
    np.testing.assert_allclose(sparsity.containers[0][0].get_ydata(), [50, 50])


def test_the_reliability_diagram_is_the_calibration(results):
    dice = np.random.default_rng(0)
    sure = dice.uniform(0.3, 1, 500)
    found = calibrate(sure, dice.uniform(size=500) < sure - 0.1)
    axes: Any = draw_reliability(results.runs, {"gn l1=0": found}).axes[0]
    full = found.count > 0
    diagonal, line = axes.lines
    assert diagonal.get_xdata().tolist() == diagonal.get_ydata().tolist()
    np.testing.assert_allclose(line.get_xdata(), 100 * found.confidence[full])
    np.testing.assert_allclose(line.get_ydata(), 100 * found.accuracy[full])
    assert f"{100 * found.ece:.2f} points" in axes.get_title(loc="left")


@pytest.mark.parametrize("cells", [1, 2, 3, 4])
def test_the_titles_and_labels_of_the_reliability_diagram_are_inside_it(results, cells):
    sure = np.linspace(0.3, 1, 50)
    found = calibrate(sure, sure > 0.5)
    figure: Any = draw_reliability(results.runs, dict.fromkeys(results.runs["cell"].unique()[:cells], found))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    panels = [axes for axes in figure.axes if axes.axison]
    assert len(panels) == cells
    for axes in panels:
        assert axes._left_title.get_window_extent(canvas.get_renderer()).y1 <= figure.bbox.y1
    ticks = [label.get_window_extent().y0 for axes in panels for label in axes.get_xticklabels() if label.get_text()]
    label = figure._supxlabel.get_window_extent()
    assert figure.bbox.y0 <= label.y0 < label.y1 < min(ticks)


def test_the_curves_as_csv_hold_every_number_of_the_journals(results):
    rows = list(csv.DictReader(io.StringIO(curves_csv(results.epochs).decode())))
    expected = [
        {
            "cell": cell,
            "seed": str(job.settings["seed"]),
            "epoch": str(epoch["epoch"]),
            "metric": metric,
            "value": str(value),
        }
        for cell, job in zip(results.runs["cell"], results.jobs.values(), strict=True)
        for epoch in job.epochs
        for metric, value in epoch["metrics"].items()
    ]
    assert rows == expected


def test_more_settings_than_can_be_told_apart_are_averaged_over_for_each_norm(world):
    strengths = [10.0**-power for power in range(1, 7)]
    jobs = [
        world.finish(world.configuration(norm, l1=l1, l2=l2), dict.fromkeys(range(1 + position), 0.9))
        for norm in ("bn", "gn")
        for position, l2 in enumerate(strengths)
        for l1 in (0.0, 1e-5)
    ]
    figure: Any = draw_accuracy_by_key(load_results([world.sweep(jobs)], world.multirun), "reg.l1")
    lines = figure.axes[0].containers
    assert [line.get_label() for line in lines] == ["bn", "gn"]
    np.testing.assert_allclose(lines[0][0].get_ydata(), [96.5, 96.5])  # 1 to 6 of 100 images are wrong
    assert "mean over the other settings" in figure.get_suptitle()
