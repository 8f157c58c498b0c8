import json

import numpy as np
import pytest
from scipy import stats

from src.errors.calibration import BINS, calibrate, confidence_gap, pool_calibrations


def plain_error(confidence, right):
    """Guo et al. 2017, equation 3, bin by bin with the intervals as the paper writes them."""
    total = 0.0
    for m in range(1, 16):
        inside = [(c, r) for c, r in zip(confidence, right, strict=True) if (m - 1) / 15 < c <= m / 15]
        if inside:
            accuracy = sum(r for _, r in inside) / len(inside)
            mean = sum(c for c, _ in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - mean)
    return total


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_error_is_that_of_a_plain_loop_over_the_papers_bins(sharpness):
    source = np.random.default_rng(5)
    confidence = source.uniform(0.1, 1, 3000) ** (1 / sharpness)
    right = source.random(3000) < 0.7 * confidence
    assert calibrate(confidence, right).ece == pytest.approx(
        plain_error(confidence.tolist(), right.tolist()), abs=1e-12
    )


def test_a_confidence_on_the_edge_of_a_bin_belongs_to_the_lower_one():
    found = calibrate(np.array([3 / 15, 3 / 15 + 1e-9, 1.0]), np.array([True, True, True]))
    assert found.count.tolist() == [0, 0, 1, 1] + [0] * 10 + [1]


def test_a_known_case_by_hand():
    # Ten answers at 0.9 of which six are right, ten at 0.5 of which eight are: (10 * 0.3 + 10 * 0.3) / 20.
    confidence = np.array([0.9] * 10 + [0.5] * 10)
    right = np.array([True] * 6 + [False] * 4 + [True] * 8 + [False] * 2)
    found = calibrate(confidence, right)
    assert found.ece == pytest.approx(0.3)
    assert found.overconfidence == pytest.approx(0.0)  # too sure of the first, not enough of the second
    assert found.accuracy[13] == pytest.approx(0.6)
    assert found.confidence[7] == pytest.approx(0.5)
    assert np.isnan(found.accuracy[0])


def test_a_cells_error_is_the_mean_of_its_runs_and_its_bins_are_pooled():
    sure, shy = np.full(10, 0.8), np.full(30, 0.8)
    first = calibrate(sure, np.arange(10) < 6)  # 0.2 too sure
    second = calibrate(shy, np.arange(30) < 30)  # 0.2 not sure enough
    both = pool_calibrations([first, second])
    assert both.ece == pytest.approx(0.2)
    assert both.count.sum() == 40
    assert both.accuracy[both.count > 0].tolist() == pytest.approx([36 / 40])
    assert both.overconfidence == pytest.approx(0.8 - 0.9)
    assert pool_calibrations([first]).ece == first.ece


def test_a_confident_network_that_is_always_right_has_no_error():
    assert calibrate(np.ones(50, dtype=np.float32), np.ones(50, dtype=bool)).ece == 0


def test_an_empty_array_is_refused():
    with pytest.raises(ValueError, match="no predictions"):
        calibrate(np.empty(0), np.empty(0, dtype=bool))


def test_empty_bins_are_null_in_json():
    stored = json.loads(json.dumps(calibrate(np.array([0.99]), np.array([False])).as_json(), allow_nan=False))
    assert stored["confidence"] == [None] * (BINS - 1) + [0.99]
    assert stored["accuracy"][-1] == 0


def seeds_of(accuracies, confidence):
    """The calibrations of runs with these accuracies on 1,000 images, all with the same confidence."""
    return [calibrate(np.full(1000, confidence), np.arange(1000) < round(1000 * accuracy)) for accuracy in accuracies]


@pytest.mark.parametrize("level", [0.05, 0.0004])
def test_the_interval_of_a_cells_confidence_gap_is_the_t_interval_of_its_seeds(level):
    accuracies = [0.90, 0.93, 0.88, 0.91, 0.92]
    gap = confidence_gap(seeds_of(accuracies, 0.95), level)
    expected = stats.ttest_1samp([0.95 - accuracy for accuracy in accuracies], 0).confidence_interval(1 - level)
    assert (gap.mean - gap.half_width, gap.mean + gap.half_width) == pytest.approx(tuple(expected))
    assert gap.direction == ("overconfident" if expected.low > 0 else "")


def test_a_cell_is_underconfident_only_if_its_interval_excludes_zero():
    accuracies = [0.90, 0.93, 0.88]
    assert confidence_gap(seeds_of(accuracies, 0.80), 0.05).direction == "underconfident"
    assert confidence_gap(seeds_of(accuracies, 0.90), 0.05).direction == ""
    assert confidence_gap(seeds_of([0.9], 0.80), 0.05).direction == ""


def test_equal_seeds_do_not_prove_that_the_spread_is_zero():
    gap = confidence_gap(seeds_of([0.9] * 3, 0.9001), 0.05)
    assert gap.half_width == pytest.approx(stats.t.ppf(0.975, 2) / 12**0.5 / 1000 / 3**0.5)
    assert gap.direction == ""
