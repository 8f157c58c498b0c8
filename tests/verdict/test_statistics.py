import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import contingency_tables, multitest, power

from src.verdict.statistics import (
    accuracy_difference_interval,
    accuracy_half_width,
    detectable,
    holm,
    mcnemar,
    rounding_sd,
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
    equal, spread = summarise([0.9, 0.9], least_sd=0.01), summarise([0.88, 0.92], least_sd=0.01)
    assert equal.sd == 0
    assert equal.half_width == pytest.approx(stats.t.ppf(0.975, df=1) * 0.01 / 2**0.5)
    assert spread == summarise([0.88, 0.92])


@pytest.mark.parametrize(("accuracy", "images"), [(0.989, 10_000), (0.5, 100), (1.0, 1000), (0.0, 50)])
def test_the_half_width_of_an_accuracy_is_wilsons(accuracy, images):
    z = 1.959963984540054
    expected = z / (1 + z**2 / images) * math.sqrt(accuracy * (1 - accuracy) / images + z**2 / (4 * images**2))
    assert accuracy_half_width(accuracy, images) == pytest.approx(expected, rel=1e-9)


def test_ten_thousand_images_leave_an_uncertainty_of_two_tenths_of_a_point():
    assert 100 * accuracy_half_width(0.989, 10_000) == pytest.approx(0.2, abs=0.01)


def paired(values):
    mean, sd = np.mean(values), np.std(values, ddof=1)
    return t_interval(np.array([mean]), np.array([sd]), np.array([len(values)]))


def test_the_paired_interval_and_p_are_scipys():
    first, second = [0.991, 0.989, 0.993, 0.990], [0.989, 0.988, 0.990, 0.991]
    low, high, p = paired(np.subtract(first, second))
    expected = stats.ttest_rel(first, second)
    assert p[0] == pytest.approx(expected.pvalue)
    assert (low[0], high[0]) == pytest.approx(tuple(expected.confidence_interval(0.95)))


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (5, 0), (12, 30), (30, 12), (200, 230)])
def test_mcnemars_p_is_statsmodels(only_first, only_second):
    expected = contingency_tables.mcnemar([[900, only_first], [only_second, 5]], exact=True).pvalue
    found = mcnemar(np.array([only_first]), np.array([only_second]))
    assert found[0] == pytest.approx(expected, rel=1e-9)


def test_the_interval_of_a_difference_on_the_same_images_covers_it():
    generator, images = np.random.default_rng(0), 2000
    counts = generator.multinomial(images, [0.02, 0.01, 0.97], size=4000)
    low, high = accuracy_difference_interval(counts[:, 0], counts[:, 1], images)
    assert np.mean((low <= 0.01) & (high >= 0.01)) == pytest.approx(0.95, abs=0.015)


def test_two_networks_that_answer_alike_have_an_interval_about_zero():
    low, high = accuracy_difference_interval(np.array([0]), np.array([0]), 10_000)
    assert -0.0003 < low[0] < 0 < high[0] < 0.0003


@pytest.mark.parametrize("seed", range(5))
def test_holms_correction_is_statsmodels(seed):
    p = np.random.default_rng(seed).beta(0.5, 3, 15)
    assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


def test_the_smaller_ps_carry_holms_correction_of_equal_ones():
    assert holm(np.array([0.04, 0.01, 0.01])).tolist() == [0.04, 0.03, 0.03]


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 15])
@pytest.mark.parametrize("n", [5, 14, 40])
def test_the_detectable_difference_agrees_with_statsmodels(n, alpha):
    (found,) = detectable(np.array([n]), alpha)
    assert power.TTestPower().power(found, nobs=n, alpha=alpha) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(("n", "alpha"), [(2, 0.05), (3, 0.05 / 15), (5, 0.05 / 66)])
def test_the_detectable_difference_of_few_seeds_has_the_promised_power(n, alpha):
    # statsmodels has no answer here: the power averaged over what the sample's sd can be.
    (found,) = detectable(np.array([n]), alpha)
    critical = stats.t.isf(alpha / 2, n - 1)
    shown = stats.chi(n - 1).expect(lambda s: stats.norm.sf(critical * s / (n - 1) ** 0.5 - found * n**0.5))
    assert shown == pytest.approx(0.8, abs=1e-3)


def test_two_seeds_detect_nothing_among_half_a_million_pairs():
    found = detectable(np.arange(2, 21), 0.05 / 499_500)
    assert np.isnan(found[0])
    assert found[-1] > 1


def test_the_interval_of_a_difference_is_bonetts_and_prices_by_hand():
    low, high = accuracy_difference_interval(np.array([9]), np.array([3]), 22)
    first, second = 10 / 24, 4 / 24
    half_width = 1.959963985 * math.sqrt((first + second - (first - second) ** 2) / 24)
    assert low == pytest.approx([0.25 - half_width])
    assert high == pytest.approx([0.25 + half_width])


def test_counting_whole_images_spreads_as_rounding_does():
    generator = np.random.default_rng(0)
    exact = generator.uniform(size=(2, 200_000))
    rounding = np.diff(np.round(exact * 50) / 50 - exact, axis=0)
    assert rounding_sd(50) == pytest.approx(rounding.std(), rel=0.01)
    assert rounding_sd(10_000, 1) == pytest.approx(1 / 10_000 / 12**0.5)


def test_the_detectable_difference_uses_the_usual_level():
    assert detectable(np.array([5])) == detectable(np.array([5]), 0.05)
