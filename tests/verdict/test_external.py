"""Recomputes what is said about external runs by scipy and statsmodels."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from src.bad_input import BadInput
from src.runs.external import make_run, sort_into_cells
from src.verdict.external import external_promise, external_table, judge_external, measure_of
from src.verdict.methods import Promise
from src.verdict.words import answer_lines, next_step

GENERATOR = np.random.default_rng(5)
ACCURACIES = {"bn": GENERATOR.normal(0.985, 0.001, 5).round(4), "gn": GENERATOR.normal(0.98, 0.002, 5).round(4)}
LEVEL = 0.0475 * 0.92  # the share of contrasts in the first look, for two cells


def external_of(values, metric="test/accuracy", own_seeds=False, lower_is_better=False):
    runs = [
        make_run(f"{norm} {seed}", value, str(seed + 100 * row * own_seeds), {"norm": norm})
        for row, (norm, accuracies) in enumerate(values.items())
        for seed, value in enumerate(accuracies)
    ]
    return sort_into_cells("runs.csv", metric, "seed", runs, lower_is_better=lower_is_better)


def judged(external, equal=None, look=1):
    return judge_external(external, external_promise(external, equal, look))


def test_common_seeds_are_compared_by_the_paired_t_interval():
    (contrast,) = judged(external_of(ACCURACIES)).contrasts
    expected = stats.ttest_rel(ACCURACIES["bn"], ACCURACIES["gn"])
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected.confidence_interval(1 - LEVEL)))
    assert contrast.p == pytest.approx(expected.pvalue)


def test_different_seeds_are_compared_by_welchs_interval():
    verdicts = judged(external_of(ACCURACIES, own_seeds=True))
    (contrast,) = verdicts.contrasts
    expected = stats.ttest_ind(ACCURACIES["bn"], ACCURACIES["gn"], equal_var=False)
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected.confidence_interval(1 - LEVEL)))
    means = CompareMeans(*map(DescrStatsW, ACCURACIES.values()))
    assert (contrast.low, contrast.high) == pytest.approx(means.tconfint_diff(LEVEL, usevar="unequal"))
    interval = "\N{EN DASH}".join(f"{100 * end:.2f}" for end in (contrast.low, contrast.high))
    expected_line = f"bn beats gn by {interval} points (95 % CI)."
    assert answer_lines(verdicts)[0] == f"5 seeds, not all shared (Welch's intervals): {expected_line}"


def test_a_lower_loss_is_better_and_stays_in_its_own_unit():
    losses = {"bn": [0.5, 0.52, 0.51, 0.5], "gn": [0.9, 0.93, 0.91, 0.9]}
    verdicts = judged(external_of(losses, "loss", lower_is_better=True), equal=0.05)
    (contrast,) = verdicts.contrasts
    expected = stats.ttest_rel(losses["gn"], losses["bn"]).confidence_interval(1 - LEVEL)
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected))
    assert contrast.result_text == f"bn is better than gn by 0.402 [{expected.low:.3g}, {expected.high:.3g}]"
    assert "points" not in " ".join(answer_lines(verdicts))
    assert contrast.equal_within == 0.05
    assert verdicts.best[0].candidates == ("bn",)


def test_no_cell_is_chosen_without_validation():
    verdicts = judged(external_of(ACCURACIES))
    assert verdicts.best[0].chosen == ()
    assert "alidation" not in " ".join(answer_lines(verdicts))


@pytest.mark.parametrize(
    ("metric", "factor", "in_points"),
    [
        *(("test/accuracy", 1, True), ("val_acc", 1, True), ("Accuracy", 1, True), ("top1-acc", 1, True)),
        *(("accuracy", 100, False), ("f1", 1, False), ("accept", 1, False), ("vacc", 1, False)),
    ],
)
def test_an_accuracy_from_0_to_1_is_written_in_points(metric, factor, in_points):
    external = external_of({norm: values * factor for norm, values in ACCURACIES.items()}, metric)
    assert measure_of(external).in_points == in_points
    margins = [external_promise(external, equal, 1).equal_within for equal in (None, 0.2)]
    assert margins == pytest.approx([0.001, 0.002] if in_points else [0.0, 0.2])


def test_the_user_counts_the_looks():
    external = external_of(ACCURACIES)
    levels = [external_promise(external, None, look).level for look in (1, 2, 3)]
    assert levels == pytest.approx([0.0475, 0.002375, 0.00011875])
    (contrast,) = judged(external, look=2).contrasts
    expected = stats.ttest_rel(ACCURACIES["bn"], ACCURACIES["gn"]).confidence_interval(1 - 0.002375 * 0.92)
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected))


def test_failed_runs_are_counted_and_left_out_of_the_means():
    values = {"bn": [0.98, 0.981, 0.982, 0.98], "gn": [0.97, math.nan, 0.9725, 0.9695], "ln": [math.inf] * 4}
    verdicts = judged(external_of(values))
    assert (verdicts.failed_run_count, verdicts.run_count) == (5, 12)
    assert [(count.level, count.failed_run_count) for count in verdicts.failures] == [("bn", 0), ("gn", 1), ("ln", 4)]
    assert "all runs of ln failed" in verdicts.left_out
    (contrast,) = verdicts.contrasts
    pairs = [pair for pair in zip(values["bn"], values["gn"], strict=True) if not math.isnan(pair[1])]
    expected = stats.ttest_rel(*zip(*pairs, strict=True)).confidence_interval(1 - LEVEL)
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected))


def test_cells_with_a_single_value_leave_nothing_to_compare():
    verdicts = judged(external_of({"bn": [0.98, math.nan], "gn": [math.nan, 0.97]}))
    assert answer_lines(verdicts)[0] == "There is nothing to compare."


def test_equal_differences_of_rounded_values_do_not_prove_that_the_spread_is_zero():
    """Values with one decimal: their spread is at least that of rounding to 0.1."""
    table = external_table(external_of({"bn": [0.8, 0.9, 0.8], "gn": [0.7, 0.8, 0.7]}))
    assert 1 / table.images == pytest.approx(0.1)
    (contrast,) = judged(external_of({"bn": [0.8, 0.9, 0.8], "gn": [0.7, 0.8, 0.7]})).contrasts
    assert contrast.sd == pytest.approx((2 / 12) ** 0.5 * 0.1)


def test_runs_with_one_common_value_are_refused():
    with pytest.raises(BadInput, match=r"all runs in .* have the same"):
        judged(external_of({"bn": [0.9, 0.9], "gn": [0.9, 0.9]}))


def test_the_suggested_seeds_come_without_a_command():
    close = {"bn": ACCURACIES["bn"], "gn": ACCURACIES["bn"] - [0.0025, 0.0018, 0.0006, -0.0001, 0.0012]}
    verdicts = judged(external_of(close))
    assert verdicts.advice is not None
    assert verdicts.advice.command is None
    assert verdicts.advice.reason == f"To decide more, train {verdicts.advice.seeds} seeds"
    assert next_step(replace(verdicts, advice=None, promise=Promise())).lines == []
