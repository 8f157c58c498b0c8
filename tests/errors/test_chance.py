from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from src.errors import chance
from src.errors.chance import chance_limits


def largest_mean(values):
    """The statistic of an arrangement of `values` (seeds, cells): the largest mean of a cell."""
    return lambda order: {"mean": np.take_along_axis(values, order, axis=1).mean(axis=0).max()}


def limit_of(values, level):
    return chance_limits(largest_mean(values), np.ones(values.shape, dtype=bool), level)["mean"]


@pytest.mark.parametrize("level", [0.02, 0.1, 0.3])
def test_the_share_of_all_arrangements_above_the_limit_is_the_level(level):
    values = np.random.default_rng(3).normal(size=(5, 3))
    shuffled = product(*(list(permutations(row)) for row in values))
    means = np.array([np.mean(rows, axis=0).max() for rows in shuffled])
    assert len(means) == 6**5
    error = (level * (1 - level) / chance.ARRANGEMENTS) ** 0.5
    assert (means > limit_of(values, level)).mean() == pytest.approx(level, abs=3 * error)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_a_value_is_above_its_limit_where_scipys_permutation_test_is_significant(shift):
    values = np.random.default_rng(5).normal(size=(10, 2))
    values[:, 0] += shift

    def statistic(first, second, axis):
        return np.maximum(first.mean(axis=axis), second.mean(axis=axis))

    exact = stats.permutation_test(
        tuple(values.T), statistic, permutation_type="samples", n_resamples=np.inf, alternative="greater"
    )
    observed, error = values.mean(axis=0).max(), 0.003 + 3 * (exact.pvalue / chance.ARRANGEMENTS) ** 0.5
    assert observed > limit_of(values, exact.pvalue + error)
    assert observed <= limit_of(values, max(exact.pvalue - error, 0.002))


def test_arrangements_keep_runs_in_their_seed_and_missing_runs_missing():
    has_run = np.array([[True, True, True], [True, False, True], [False, True, False]])
    orders = [order.copy() for order in chance._random_arrangements(has_run, 200)]
    assert orders[0].tolist() == [[0, 1, 2]] * 3
    assert {tuple(order[0]) for order in orders} == set(permutations(range(3)))
    assert {tuple(order[1]) for order in orders} == {(0, 1, 2), (2, 1, 0)}
    assert {tuple(order[2]) for order in orders} == {(0, 1, 2)}


def test_values_that_equal_the_largest_by_chance_are_not_above_the_limit():
    values = np.zeros((6, 3))
    values[0, 0] = 1  # every arrangement has a cell with the mean 1 / 6
    assert limit_of(values, 0.01) >= 1 / 6


def test_one_limit_holds_for_all_kinds_together():
    source = np.random.default_rng(8)
    values = source.normal(size=(5, 4, 20))

    def largest(order):
        means = values[np.arange(5)[:, None], order].mean(axis=0)  # (cells, kinds)
        return {str(kind): float(value) for kind, value in enumerate(means.max(axis=0))}

    limits = chance_limits(largest, np.ones((5, 4), dtype=bool), 0.05)
    orders = [np.array([source.permutation(4) for _ in range(5)]) for _ in range(1000)]
    false = np.mean([any(value > limits[kind] for kind, value in largest(order).items()) for order in orders])
    assert false == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / 500) ** 0.5)  # both limits and rate are sampled


@pytest.mark.parametrize(
    ("seeds", "cells", "level", "known"),
    [
        (1, 6, 0.0025, False),  # one seed has no spread
        (5, 2, 0.0025, False),  # 16 arrangements differ
        (10, 2, 0.0025, True),  # 512 do
        (2, 6, 0.0025, True),  # 720 do
        (2, 6, 0.001, False),
        (9, 6, 0.0004, True),  # a smaller level takes more arrangements
        (9, 6, 0.00004, False),  # 20,000 arrangements cannot show less than 0.00005
    ],
)
def test_limits_are_unknown_where_arrangements_are_too_few_for_the_level(seeds, cells, level, known):
    values = np.random.default_rng(0).normal(size=(seeds, cells))
    limits = chance_limits(largest_mean(values), np.ones((seeds, cells), dtype=bool), level)
    assert (limits is not None) == known
