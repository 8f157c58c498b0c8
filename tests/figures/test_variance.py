"""The figure that shows where the variance between runs comes from."""

from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from src.config import SOURCES
from src.errors.atlas import correct_by_run, read_atlases
from src.figures.figures import draw_figures
from src.figures.swept import swept_numeric_keys
from src.figures.variance import MAX_METHODS, SD_HEADING, draw_variance
from src.pictures.colours import choose_colour
from src.results.results import load_results
from src.results.variance import variance_by_source
from src.verdict.verdicts import judge


def finish(world, norm, seeds, errors, l1=0.0):
    config = world.configuration(norm, l1=l1)
    config.init_seed, config.order_seed, config.data.split_seed = seeds
    return world.finish(config, dict.fromkeys(range(errors), 0.9))


def study(world, norm="bn", l1=0.0, scale=1):
    """Three runs per source and three in which all sources vary; the weights spread most."""
    series = [[(k, 0, 0) for k in (1, 2, 3)], [(0, k, 0) for k in (1, 2, 3)]]
    series += [[(0, 0, k) for k in (1, 2, 3)], [(k, k, k) for k in (1, 2, 3)]]
    steps = (3, 2, 1, 4)
    return [
        finish(world, norm, seeds, scale * step * place, l1)
        for step, runs in zip(steps, series, strict=True)
        for place, seeds in enumerate(runs)
    ]


def test_a_bar_is_a_standard_deviation_with_its_interval(world):
    results = load_results([world.sweep([*study(world), *study(world, "gn", scale=2)])], world.multirun)
    figure: Any = draw_variance(results.runs)
    rows = variance_by_source(results.runs)
    for axes, norm, scale in zip(figure.axes, ("bn", "gn"), (1, 2), strict=True):
        expected = rows[rows["method"] == norm]
        bars = axes.patches
        np.testing.assert_allclose([bar.get_width() for bar in bars], [3 * scale, 2 * scale, scale, 4 * scale])
        assert {to_hex(bar.get_facecolor()) for bar in bars} == {choose_colour({"norm.name": norm})}
        (_, caps, _) = axes.containers[-1]
        np.testing.assert_allclose(
            np.array([cap.get_xdata() for cap in caps], dtype=float), expected[["sd_low", "sd_high"]].T
        )
        labels = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
        assert labels == [f"{words} (3 runs)" for words in (*SOURCES.values(), "all together")]
        (numbers,) = axes.child_axes
        texts = [label.get_text() for label in numbers.get_yticklabels()]
        shown = [f"{row.sd:.3f} [{row.sd_low:.3f}, {row.sd_high:.3f}]" for row in expected.itertuples()]
        shares = [f"  {100 * share:.0f} % [" for share in (9 / 16, 4 / 16, 1 / 16)]
        assert all(text.startswith(start) for text, start in zip(texts, shown, strict=True))
        assert all(share in text for text, share in zip(texts, shares, strict=False))
        assert texts[-1] == shown[-1]  # all together is 100 % by definition
        assert axes.get_title(loc="left") == norm
    assert "standard deviation" in figure.axes[-1].get_xlabel()


def test_runs_with_equal_accuracies_have_no_bar(world):
    jobs = [finish(world, "bn", (k, 0, 0), 5) for k in range(3)]
    (axes,) = draw_variance(load_results([world.sweep(jobs)], world.multirun).runs).axes
    (numbers,) = axes.child_axes
    assert [bar.get_width() for bar in axes.patches] == [0]
    assert numbers.get_yticklabels()[0].get_text() == "0: all runs are equal"


def test_many_methods_are_cut_and_counted(world):
    jobs = [
        finish(world, "bn", (k, 0, 0), k * method, l1=1e-5 * method)
        for method in range(1, MAX_METHODS + 2)
        for k in range(3)
    ]
    figure = draw_variance(load_results([world.sweep(jobs)], world.multirun).runs)
    assert len(figure.axes) == MAX_METHODS
    assert figure.get_supxlabel() == f"{MAX_METHODS} of {MAX_METHODS + 1} methods"


def test_the_report_of_a_study_shows_the_figure_instead_of_accuracy_by_seed(world):
    sweep = world.sweep(study(world))
    results = load_results([sweep], world.multirun)
    assert swept_numeric_keys(results) == []
    atlases = read_atlases(results)
    found = draw_figures(results, judge([sweep], results, correct_by_run(atlases)), atlases)
    assert not [name for name in found if name.startswith("accuracy_by")]
    assert "heat_map" not in found
    assert found["variance"].png[:4] == b"\x89PNG"
    assert (
        "It does not cover the choice of the dataset, the split or the hyperparameters." in found["variance"].alt_text
    )


def test_a_sweep_of_seeds_has_no_such_figure(world, six):
    assert draw_variance(load_results([six], world.multirun).runs) is None


@pytest.mark.parametrize("source", SOURCES)
def test_one_source_alone_is_drawn_without_shares(world, source):
    place = list(SOURCES).index(source)
    jobs = [finish(world, "bn", [k * (place == other) for other in range(3)], 2 * k) for k in range(4)]
    (axes,) = draw_variance(load_results([world.sweep(jobs)], world.multirun).runs).axes
    (label,) = axes.get_yticklabels()
    assert label.get_text().replace("\n", " ") == f"{SOURCES[source]} (4 runs)"
    (numbers,) = axes.child_axes
    assert "%" not in numbers.get_yticklabels()[0].get_text()
    assert [text.get_text() for text in axes.texts] == [SD_HEADING]
