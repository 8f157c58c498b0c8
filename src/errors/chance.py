"""Finds how much the errors of cells differ by chance, that is, if all cells are the same method (permutation test)."""

from collections.abc import Callable, Iterator, Mapping
from math import ceil, lgamma, log

import numpy as np
import numpy.typing as npt

from src.results.statistics import Bools

ARRANGEMENTS = 1_200  # arrangements, the observed one included; enough for a level of 0.1 %
MOST_ARRANGEMENTS = 20_000  # for a smaller level
Order = npt.NDArray[np.int64]  # for each seed and cell, the cell that the run at this place comes from (seeds, cells)


def chance_limits(
    largest_values: Callable[[Order], Mapping[str, float]], has_run: Bools, level: float
) -> Mapping[str, float] | None:
    """The largest values that seeds of one method explain, by name.  `has_run` marks existing runs (seeds, cells).

    If the methods do not differ, the runs of one seed can be exchanged between cells.  An arrangement therefore
    shuffles the runs within each seed; `largest_values` returns the largest value of each kind in an arrangement.  If
    the methods do not differ, the probability that a value of any kind is above its limit is at most `level`: the
    limits come from the largest standardised value over all kinds (Westfall and Young 1993, "Resampling-based multiple
    testing").  Their random generator is fixed.  None if there are too few arrangements, for example with one seed.
    """
    log_orders = [lgamma(runs + 1) for runs in has_run.sum(axis=1)]
    arrangements = max(ARRANGEMENTS, ceil(1 / level))
    if arrangements > MOST_ARRANGEMENTS or sum(log_orders) - max(log_orders) < -log(level):
        return None
    by_arrangement = [largest_values(order) for order in _random_arrangements(has_run, arrangements)]
    values = np.array([list(kinds.values()) for kinds in by_arrangement])  # (arrangements, kinds)
    mean, sd = values.mean(axis=0), values.std(axis=0)
    sd[sd == 0] = 1
    largest_scores = np.sort(((values - mean) / sd).max(axis=1))
    allowed_count = int(level * len(by_arrangement) + 1e-9)  # this many arrangements may have a value above its limit
    limits = mean + sd * largest_scores[-1 - allowed_count] + 1e-9  # the last term keeps equal values below the limit
    return dict(zip(by_arrangement[0], limits.tolist(), strict=True))


def seeds_needed(cells: int, level: float) -> int:
    """The number of seeds from which one differing cell among equal ones can exceed its limit at this level.

    Exchanging the other cells does not change such a difference, so only cells^(seeds - 1) arrangements differ.
    """
    return 1 + ceil(-log(level) / log(cells))


def _random_arrangements(has_run: Bools, count: int) -> Iterator[Order]:
    """Yield the observed arrangement and `count` - 1 random ones.  Places without a run stay empty."""
    generator = np.random.default_rng(0)
    order = np.tile(np.arange(has_run.shape[1]), (len(has_run), 1))  # each run comes from its own cell
    yield order
    for _ in range(count - 1):
        for cells, exists in zip(order, has_run, strict=True):
            cells[exists] = generator.permutation(cells[exists])
        yield order
