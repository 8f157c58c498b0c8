"""Other procedures that compare methods over seeds: each says whether any two rows of accuracies (cells, seeds) differ.

- mean and standard deviation: two intervals "mean +- sd" do not overlap, as many tables are read
- rliable (Agarwal et al. 2021): two 95 % bootstrap intervals of the means do not overlap
- ASO (del Barrio et al. 2018, Dror et al. 2019): one method is almost stochastically better, epsilon_min < 0.5, with
  Bonferroni's correction for the pairs, as `multi_aso` of deepsig does it
- Friedman's test and then Nemenyi's critical difference of mean ranks (Demsar 2006)
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from benchmarks.made_up_sweeps import Floats

RESAMPLES = 1000  # of each bootstrap
ALPHA = 0.05

Peer = Callable[[Floats, np.random.Generator], bool]


def bars_apart(accuracies: Floats, generator: np.random.Generator) -> bool:
    """Whether two intervals "mean +- sd" do not overlap."""
    mean, sd = accuracies.mean(axis=1), accuracies.std(axis=1, ddof=1)
    return bool((mean - sd).max() > (mean + sd).min())


def bootstrap_apart(accuracies: Floats, generator: np.random.Generator) -> bool:
    """Whether two bootstrap intervals of the mean do not overlap; each cell is resampled by itself."""
    low, high = np.quantile(_resampled(accuracies, generator).mean(axis=2), [ALPHA / 2, 1 - ALPHA / 2], axis=1)
    return bool(low.max() > high.min())


def almost_stochastically_better(accuracies: Floats, generator: np.random.Generator) -> bool:
    """Whether one cell is almost stochastically better than another: the upper limit of the violation is below 0.5."""
    cells = len(accuracies)
    values = np.sort(accuracies, axis=1)
    resampled = np.sort(_resampled(accuracies, generator), axis=2)
    quantile = stats.norm.isf(ALPHA / (cells * (cells - 1) / 2))
    for first in range(cells):
        for second in range(first):
            violation = _violation(values[first], values[second])
            margin = quantile * (_violation(resampled[first], resampled[second]) - violation).std()
            if min(violation, 1 - violation) + margin < 0.5:  # 1 - violation: of the other direction
                return True
    return False


def _violation(first: Floats, second: Floats) -> Floats:
    """The share of the squared distance of two quantile functions at which the first one is below the second one."""
    difference = first - second
    squares = difference**2
    total = squares.sum(axis=-1)
    below: Floats = np.where(difference < 0, squares, 0.0).sum(axis=-1)
    violation: Floats = np.divide(below, total, out=np.full_like(total, 0.5), where=total > 0)
    return violation


def _resampled(accuracies: Floats, generator: np.random.Generator) -> Floats:
    """Return bootstrap samples (cells, resamples, seeds)."""
    cells, seeds = accuracies.shape
    columns = generator.integers(seeds, size=(cells, RESAMPLES, seeds))
    sampled: Floats = np.take_along_axis(accuracies[:, None], columns, axis=2)
    return sampled


def ranks_apart(accuracies: Floats, generator: np.random.Generator) -> bool:
    """Whether Friedman's test is significant, and two mean ranks differ by Nemenyi's critical difference."""
    cells, seeds = accuracies.shape
    if stats.friedmanchisquare(*accuracies).pvalue >= ALPHA:
        return False
    ranks = stats.rankdata(accuracies, axis=0).mean(axis=1)
    critical = stats.studentized_range.isf(ALPHA, cells, np.inf) * (cells * (cells + 1) / (12 * seeds)) ** 0.5
    return bool(np.ptp(ranks) > critical)


PEERS: dict[str, Peer] = {
    "mean +- sd do not overlap": bars_apart,
    "rliable: bootstrap intervals do not overlap": bootstrap_apart,
    "ASO with Bonferroni: epsilon_min < 0.5": almost_stochastically_better,
    "Friedman, then Nemenyi": ranks_apart,
}
