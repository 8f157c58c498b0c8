"""The benchmarks compare equal work, and their ratios are computed correctly."""

import pytest
import torch

from benchmarks.course_loop import NORMS, Net
from benchmarks.ratios import against_itself, in_turns, ratio
from src.models.cnn import CNN


@pytest.mark.parametrize("norm", NORMS)
def test_the_baselines_train_the_same_network(norm):
    theirs, ours = Net(NORMS[norm]), CNN(width=16).build(1, 28, 10, NORMS[norm], 0.0)
    with torch.no_grad():
        for target, source in zip(theirs.parameters(), ours.parameters(), strict=True):
            target.copy_(source)
    images = torch.randn(5, 1, 28, 28)
    assert torch.equal(theirs(images), ours(images))


def test_a_ratio_is_the_median_of_pairs_with_the_interval_of_the_sign_test():
    of = ratio([2.0 * factor for factor in range(1, 31)], [1.0 * factor for factor in range(1, 31)])
    assert (of.median, of.low, of.high, of.pairs) == (2.0, 2.0, 2.0, 30)
    of = ratio([float(value) for value in range(1, 31)], [1.0] * 30)
    assert (of.median, of.low, of.high) == (15.5, 10.0, 21.0)  # the 10th and the 21st of 30: 95.7 %
    assert (of.smallest, of.largest) == (1.0, 30.0)


def test_two_pairs_have_no_interval():
    assert str(ratio([2.0, 3.0], [1.0, 1.0])) == "2.500 (single pairs 2.000 to 3.000, n = 2)"


def test_the_noise_is_each_measurement_divided_by_the_one_before():
    assert against_itself([1.0, 2.0, 1.0]).smallest == 0.5


def test_contestants_take_turns_and_each_starts_a_round():
    order = []
    found = in_turns({name: lambda name=name: order.append(name) or 1.0 for name in "ab"}, 3)
    assert "".join(order) == "abbaab"
    assert found == {"a": [1.0] * 3, "b": [1.0] * 3}
