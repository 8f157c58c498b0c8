"""Computes intervals and tests of accuracies, over a few seeds or over the test images of one run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special  # `scipy.stats` takes 0.7 s to import

ALPHA = 0.05  # significance level, and the probability that an interval misses the true value
POWER = 0.8  # probability of detecting a difference that exists

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Summary:
    """The mean and the spread of one value per seed."""

    n: int
    mean: float
    sd: float | None  # standard deviation of a single run, n - 1 in the denominator; None for one seed
    half_width: float | None  # half the width of the t interval of the mean; None for one seed


def summarise(values: Sequence[float], min_sd: float = 0.0, alpha: float = ALPHA) -> Summary:
    """The mean, the standard deviation and the t interval of the mean (Student 1908), in the unit of the values.

    The interval misses the true mean with probability `alpha`, and uses `min_sd` (see `rounding_sd`) if the standard
    deviation is smaller.  Raises ValueError if empty.
    """
    if not values:
        raise ValueError("no values to summarise")
    mean = float(np.mean(values))
    if len(values) == 1:
        return Summary(1, mean, None, None)
    sd = float(np.std(values, ddof=1))
    quantile = float(special.stdtrit(len(values) - 1, 1 - alpha / 2))
    return Summary(len(values), mean, sd, quantile * max(sd, min_sd) / len(values) ** 0.5)


def accuracy_sd(accuracy: float, images: int) -> float:
    """The standard deviation of an accuracy (0 to 1) on randomly chosen test images (binomial)."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def t_interval(mean: float, standard_error: float, degrees: float, alpha: float) -> tuple[float, float, float]:
    """The ends of the t interval of a mean that misses the truth with probability `alpha`, and the p of "it is zero".

    Student 1908; `standard_error` is above 0 and has `degrees` degrees of freedom.  The p value is two-sided.
    """
    half_width = -float(special.stdtrit(degrees, alpha / 2)) * standard_error
    return mean - half_width, mean + half_width, float(2 * special.stdtr(degrees, -abs(mean) / standard_error))


def rounding_sd(images: float, accuracies: int = 2) -> float:
    """The standard deviation of a sum of accuracies (0 to 1) due to rounding to whole images (Sheppard 1898).

    An accuracy is a multiple of 1 / images, which hides a spread of 1 / (images sqrt(12)).  Seeds with equal
    differences do not prove that the spread is zero, so no test assumes a smaller spread than this.
    """
    return float(np.sqrt(accuracies / 12) / images)


def mcnemar(only_first_right: Counts, only_second_right: Counts) -> Floats:
    """McNemar's exact test (1947): the two-sided p value of "both networks are equally likely to be right alone".

    `only_first_right` and `only_second_right` count the images that only the first or only the second network gets
    right.  Both arrays have the same shape.
    """
    smaller, total = np.minimum(only_first_right, only_second_right), only_first_right + only_second_right
    p: Floats = np.minimum(1.0, 2 * special.bdtr(smaller.astype(np.float64), total, 0.5))
    return p


def fisher_exact(first_group: tuple[int, int], second_group: tuple[int, int]) -> float:
    """Fisher's exact test (1935): the two-sided p value of "both groups have the same share".

    A group is the number of its members that have the property, and the number of all its members.
    """
    (first_count, first_size), (second_count, second_size) = first_group, second_group
    total = first_count + second_count
    possible = np.arange(max(0, total - second_size), min(total, first_size) + 1)  # what `first_count` can be
    log_p = -sum(special.betaln(k + 1, n - k + 1) for k, n in ((possible, first_size), (total - possible, second_size)))
    p = np.exp(log_p - special.logsumexp(log_p))
    return min(1.0, float(p[p <= p[possible == first_count] * (1 + 1e-7)].sum()))


def holm(p: Floats) -> Floats:
    """Correct p values (N,) by Holm's step-down method (1979) to limit the chance of any false positive to alpha."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def decidable(sd: float, n: int, alpha: float) -> float:
    """The difference that `n` seeds decide with a power of 80 %; `sd` is that of the differences over seeds.

    A t interval that misses the truth with probability `alpha` then lies within +- this difference for methods without
    a difference, and excludes 0 for methods that differ by it.
    """
    quantiles = special.stdtrit(n - 1, (1 + POWER) / 2) - special.stdtrit(n - 1, alpha / 2)
    return float(quantiles) * sd / math.sqrt(n)


def seeds_to_decide(sd: float, n: int, alpha: float, difference: float, max_seeds: int) -> int | None:
    """The smallest number of seeds above `n` that decides a difference; None if more than `max_seeds` are needed."""
    return next((seeds for seeds in range(n + 1, max_seeds + 1) if decidable(sd, seeds, alpha) <= difference), None)


def sd_range(sd: float, n: int) -> tuple[float, float]:
    """The 80 % interval of a standard deviation that `n` normal values estimate as `sd` (chi-square)."""
    high, low = special.chdtri(n - 1, [0.9, 0.1])  # the quantiles 0.1 and 0.9 of chi-square
    return float(sd * ((n - 1) / low) ** 0.5), float(sd * ((n - 1) / high) ** 0.5)
