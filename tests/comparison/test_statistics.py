import math

import pytest
from scipy import stats

from src.comparison.statistics import accuracy_half_width, summarise


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


@pytest.mark.parametrize(("accuracy", "images"), [(0.989, 10_000), (0.5, 100), (1.0, 1000), (0.0, 50)])
def test_the_chance_in_the_images_is_wilsons(accuracy, images):
    z = 1.959963984540054
    expected = z / (1 + z**2 / images) * math.sqrt(accuracy * (1 - accuracy) / images + z**2 / (4 * images**2))
    assert accuracy_half_width(accuracy, images) == pytest.approx(expected, rel=1e-9)


def test_mnists_ten_thousand_images_leave_two_tenths_of_a_point():
    assert 100 * accuracy_half_width(0.989, 10_000) == pytest.approx(0.2, abs=0.01)
