"""Everything that a comparison says is true in at least 95 % of made-up sweeps, and a planted mistake is noticed."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks import false_statements, verdicts
from benchmarks.false_statements import check_against_judge, compare, true_difference
from benchmarks.made_up_sweeps import Design, make_up, true_accuracies
from src.verdict import best, contrasts, failures, methods
from src.verdict.methods import Promise

SWEEPS = 120
contrasts_interval = contrasts.t_interval
MOST_FALSE = stats.binom.isf(0.0005, SWEEPS, 0.05)
DESIGNS = {
    "equal": Design((6,), 5),
    "mixed": Design((3, 2), 5, "one level 0.3 points better"),
    "crossing": Design((3, 2), 10, "crossing, 0.2 points"),
    "ties": Design((6,), 10, "half of the cells 0.3 points better"),
    "margin": Design((2,), 20, "one level 0.1 points better"),
    "failed": Design((3, 2), 10, failed=0.3, failure="by seed"),
}


def false_sweeps(design, kind=None):
    row = verdicts.measure("", "", design, SWEEPS)
    return round(SWEEPS * (row.false if kind is None else row.kinds.get(kind, 0.0)))


@pytest.mark.parametrize("name", DESIGNS)
def test_few_sweeps_have_a_false_statement(name):
    assert false_sweeps(DESIGNS[name]) <= MOST_FALSE


def each_alone(items, alpha):
    return [contrasts._with_interval(item, alpha) if item.n > 1 else item for item in items]


def reversed_interval(mean, sd, n, alpha):
    low, high, p = contrasts_interval(mean, sd, n, alpha)
    return -high, -low, p


def nearer_to_zero(mean, sd, n, alpha):
    return contrasts_interval(mean / 3, sd, n, alpha)


def highest_mean(table, *options):
    found = best.find_best(table, *options)
    return replace(found, candidates=(table.cells[int(np.argmax(table.means))],))


def most_failures(counts, alpha):
    ranked = sorted(counts, key=lambda count: count.failed_run_count)
    return [failures.FailureDifference(ranked[-1], ranked[0], 0.0)]


@pytest.mark.parametrize(
    ("design", "module", "name", "mistake", "kind"),
    [
        ("equal", methods, "with_intervals", each_alone, "better"),
        ("mixed", contrasts, "t_interval", reversed_interval, "better"),
        ("margin", contrasts, "t_interval", nearer_to_zero, "equal"),
        ("ties", methods, "find_best", highest_mean, "best"),
        ("ties", methods, "find_best", highest_mean, "tuned"),
        ("failed", false_statements, "failure_differences", most_failures, "failure"),
    ],
)
def test_a_planted_mistake_makes_sweeps_false(monkeypatch, design, module, name, mistake, kind):
    """No correction, a wrong sign, differences that are too small, the best-looking cell as the best."""
    monkeypatch.setattr(module, name, mistake)
    assert false_sweeps(DESIGNS[design], kind) > MOST_FALSE


@pytest.mark.parametrize(
    "design",
    [
        Design(),
        Design((6,), 3, "one level 0.3 points better"),
        Design((3, 3, 2), 6, "crossing, 0.2 points"),
        Design((3, 2), 2, failed=0.3),
        Design((3, 2), 10, failed=0.3, failure="collapsed"),
        Design((3, 2), 20, failed=0.5, failure="by seed"),
    ],
)
def test_the_simulation_counts_what_judge_says(design):
    check_against_judge([design] * 3)


def test_the_truth_about_a_contrast_is_the_mean_over_the_settings_that_have_a_common_seed():
    sweep = make_up(Design((3, 2), 4, "half of the cells 0.3 points better"), np.random.default_rng(0))
    by_cell = dict(zip(sweep.table.levels, true_accuracies((3, 2), sweep.design.effect), strict=True))
    assert by_cell["m00", 0] == by_cell["m00", 1] == by_cell["m01", 0] == pytest.approx(by_cell["m01", 1] + 0.003)
    found = {(item.factor, item.first, item.second): item for item in compare(sweep, Promise()).contrasts}
    assert true_difference(sweep, found["norm", "m00", "m01"]) == pytest.approx(0.0015)
    assert true_difference(sweep, found["l1", "0", "1"]) == pytest.approx(0.001)
    sweep.table.test[3] = np.nan  # m01 1
    assert true_difference(sweep, found["norm", "m00", "m01"]) == pytest.approx(0.0)
