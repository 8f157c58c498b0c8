import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import contingency_tables, multitest

from src.results.statistics import (
    accuracy_sd,
    decidable,
    fisher_exact,
    holm,
    mcnemar,
    rounding_sd,
    sd_range,
    seeds_to_decide,
    summarise,
    t_interval,
)


def test_one_value_has_no_spread():
    summary = summarise([0.98])
    assert (summary.n, summary.mean, summary.sd, summary.half_width) == (1, 0.98, None, None)


def test_the_interval_is_that_of_scipys_t_test():
    values = [0.989, 0.991, 0.985, 0.990, 0.988]
    summary = summarise(values)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert summary.mean == pytest.approx((interval.high + interval.low) / 2)
    assert summary.half_width == pytest.approx((interval.high - interval.low) / 2)
    assert summary.sd == pytest.approx(math.sqrt(sum((x - summary.mean) ** 2 for x in values) / 4))


def test_two_values_use_the_table_value_of_t():
    assert summarise([1.0, 3.0]).half_width == pytest.approx(
        12.706, abs=5e-4
    )  # t 0.975, 1 degree: 12.706; sd/sqrt(n) = 1


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="no values"):
        summarise([])


def test_a_spread_below_the_least_sd_widens_only_the_interval():
    equal, spread = summarise([0.9, 0.9], min_sd=0.01), summarise([0.88, 0.92], min_sd=0.01)
    assert equal.sd == 0
    assert equal.half_width == pytest.approx(stats.t.ppf(0.975, df=1) * 0.01 / 2**0.5)
    assert spread == summarise([0.88, 0.92])


@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_the_paired_interval_and_p_are_scipys(alpha):
    first, second = [0.991, 0.989, 0.993, 0.990], [0.989, 0.988, 0.990, 0.991]
    differences = np.subtract(first, second)
    low, high, p = t_interval(float(differences.mean()), float(stats.sem(differences)), 3, alpha)
    expected = stats.ttest_rel(first, second)
    assert p == pytest.approx(expected.pvalue)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval(1 - alpha)))


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (5, 0), (12, 30), (30, 12), (200, 230)])
def test_mcnemars_p_is_statsmodels(only_first, only_second):
    expected = contingency_tables.mcnemar([[900, only_first], [only_second, 5]], exact=True).pvalue
    found = mcnemar(np.array([only_first]), np.array([only_second]))
    assert found[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_fishers_p_is_scipys(seed):
    generator = np.random.default_rng(seed)
    members = generator.integers(1, 60, 2)
    having = generator.integers(0, members + 1)
    expected = stats.fisher_exact([having, members - having]).pvalue
    found = fisher_exact(*zip(having.tolist(), members.tolist(), strict=True))
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_holms_correction_is_statsmodels(seed):
    p = np.random.default_rng(seed).beta(0.5, 3, 15)
    assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


def test_the_smaller_ps_carry_holms_correction_of_equal_ones():
    assert holm(np.array([0.04, 0.01, 0.01])).tolist() == [0.04, 0.03, 0.03]


def decided_share(true, difference, sd, n, alpha, sweeps=40_000):
    """How often a t interval of `n` seeds excludes 0, and how often it lies within +- `difference`."""
    values = np.random.default_rng(1).normal(true, sd, (sweeps, n))
    half_width = stats.t.isf(alpha / 2, n - 1) * values.std(axis=1, ddof=1) / n**0.5
    mean = values.mean(axis=1)
    return np.mean(mean > half_width), np.mean(abs(mean) + half_width <= difference)


@pytest.mark.parametrize(("n", "alpha"), [(8, 0.05), (20, 0.01), (40, 0.001)])
def test_a_decidable_difference_is_decided_in_four_of_five_sweeps(n, alpha):
    size = decidable(0.7, n, alpha)
    better, _ = decided_share(size, size, 0.7, n, alpha)
    _, equal = decided_share(0, size, 0.7, n, alpha)
    assert better == pytest.approx(0.87, abs=0.06)  # a little more than promised: one side only
    assert equal == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize("difference", [0.0006, 0.001, 0.002])
def test_the_number_of_seeds_is_the_smallest_that_decides(difference):
    found = seeds_to_decide(0.001, 5, 0.01, difference, 1000)
    assert decidable(0.001, found, 0.01) <= difference < decidable(0.001, found - 1, 0.01)


def test_no_number_of_seeds_is_found_below_a_limit_or_at_the_present_number():
    assert seeds_to_decide(0.01, 5, 0.01, 0.001, 20) is None
    assert seeds_to_decide(1e-6, 5, 0.01, 0.001, 20) == 6


@pytest.mark.parametrize("n", [2, 5, 20])
def test_the_range_of_a_standard_deviation_is_chi_squares(n):
    low, high = sd_range(0.5, n)
    assert low == pytest.approx(0.5 * ((n - 1) / stats.chi2.isf(0.1, n - 1)) ** 0.5)
    assert high == pytest.approx(0.5 * ((n - 1) / stats.chi2.ppf(0.1, n - 1)) ** 0.5)
    samples = np.random.default_rng(0).standard_normal((20_000, n)).std(axis=1, ddof=1)
    held = [low <= 1 <= high for low, high in (sd_range(sd, n) for sd in samples[:4000])]
    assert np.mean(held) == pytest.approx(0.8, abs=0.02)


def test_the_standard_deviation_of_an_accuracy_is_binomial():
    assert accuracy_sd(0.9, 1000) == pytest.approx(stats.binom.std(1000, 0.9) / 1000)


def test_counting_whole_images_spreads_as_rounding_does():
    generator = np.random.default_rng(0)
    exact = generator.uniform(size=(2, 200_000))
    rounding = np.diff(np.round(exact * 50) / 50 - exact, axis=0)
    assert rounding_sd(50) == pytest.approx(rounding.std(), rel=0.01)
    assert rounding_sd(10_000, 1) == pytest.approx(1 / 10_000 / 12**0.5)
