"""Compares cells that were trained with different seeds, so no run of one cell belongs to a run of another."""

from dataclasses import dataclass

import numpy as np

from src.results.statistics import Floats

MIN_SEEDS = 2  # with so few seeds, Satterthwaite's degrees are too many for unequal spreads, so 1 is used


@dataclass(frozen=True)
class Welch:
    """A difference of means over different seeds, with its standard error (Welch 1947)."""

    difference: float
    standard_error: float
    degrees: float  # of freedom of the standard error (Satterthwaite 1946)
    seeds: int  # number of seeds of the smallest cell


def compare_unpaired(accuracies: Floats, weights: Floats, rounding: float) -> Welch:
    """Return the weighted sum of the cells' means: weights above 0 for the first level, below 0 for the second.

    `accuracies` (cells, seeds) is NaN where a seed has no run, and every cell has two runs or more.  `weights` has the
    shape (cells,).  The standard deviation of a run is at least `rounding` (see `rounding_sd`).

    With two cells of three seeds or more, this is Welch's comparison.  Cells with common seeds are one sample: their
    deviations are added for each seed before they are squared.  Cells of different levels count as independent if they
    share a single seed, which makes the standard error too large if that seed moves both in the same direction.
    """
    from scipy.sparse import csgraph  # not at the top, because it takes 0.1 s and few comparisons need it

    has_run = ~np.isnan(accuracies)
    counts = has_run.sum(axis=1)
    means = np.nanmean(accuracies, axis=1)
    deviations = np.where(has_run, accuracies - means[:, None], 0.0)
    common_seeds = has_run.astype(int) @ has_run.astype(int).T
    same_level = np.sign(weights)[:, None] == np.sign(weights)
    variances, degrees = [], []
    sample_count, sample_of_cell = csgraph.connected_components(common_seeds >= np.where(same_level, 1, 2))
    for number in range(sample_count):
        sample = sample_of_cell == number
        shares, n = weights[sample] / counts[sample], int(counts[sample].min())
        variance = float(((shares @ deviations[sample]) ** 2).sum()) * n / (n - 1)
        variances.append(max(variance, rounding**2 * float((shares**2 * counts[sample]).sum())))
        degrees.append(n - 1)
    squares = sum(variance**2 / freedom for variance, freedom in zip(variances, degrees, strict=True))
    freedom = sum(variances) ** 2 / squares if counts.min() > MIN_SEEDS else 1.0
    return Welch(float(weights @ means), sum(variances) ** 0.5, freedom, int(counts.min()))
