"""Computes intervals and tests of accuracies, over a few seeds or over the test images of one run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

LEVEL = 0.95  # confidence level of all intervals
ALPHA = 0.05  # significance level
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
    half_width: float | None  # half the width of the 95 % t interval of the mean; None for one seed


def summarise(values: Sequence[float], least_sd: float = 0.0) -> Summary:
    """The mean, the standard deviation and the 95 % t interval of the mean (Student 1908), in the unit of the values.

    The interval uses `least_sd` (see `rounding_sd`) if the standard deviation is smaller.  Raises ValueError if empty.
    """
    if not values:
        raise ValueError("no values to summarise")
    mean = float(np.mean(values))
    if len(values) == 1:
        return Summary(1, mean, None, None)
    sd = float(np.std(values, ddof=1))
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, df=len(values) - 1))
    return Summary(len(values), mean, sd, quantile * max(sd, least_sd) / len(values) ** 0.5)


def accuracy_half_width(accuracy: float, images: int) -> float:
    """Half the width of the 95 % interval of an accuracy (0 to 1) over a number of test images (Wilson 1927).

    The interval covers the random choice of the images, but not the differences between seeds.
    """
    interval = stats.binomtest(round(accuracy * images), images).proportion_ci(LEVEL, method="wilson")
    return float(interval.high - interval.low) / 2


def t_interval(mean: Floats, sd: Floats, n: Counts) -> tuple[Floats, Floats, Floats]:
    """The ends of the 95 % t interval of paired differences, and the two-sided p of "no difference" (Student 1908).

    All arrays have the same shape; `sd` has n - 1 in the denominator and is above 0, n is at least 2.
    """
    error = sd / np.sqrt(n)
    half_width = stats.t.ppf((1 + LEVEL) / 2, df=n - 1) * error
    return mean - half_width, mean + half_width, 2 * stats.t.sf(np.abs(mean) / error, df=n - 1)


def rounding_sd(images: int, accuracies: int = 2) -> float:
    """The standard deviation of a sum of accuracies (0 to 1) due to rounding to whole images (Sheppard 1898).

    An accuracy is a multiple of 1 / images, which hides a spread of 1 / (images sqrt(12)).  Seeds with equal
    differences do not prove that the spread is zero, so no test assumes a smaller spread than this.
    """
    return float(np.sqrt(accuracies / 12) / images)


def mcnemar(first_alone: Counts, second_alone: Counts) -> Floats:
    """McNemar's exact test (1947): the two-sided p value of "both networks are equally likely to be right alone".

    `first_alone` and `second_alone` count the images that only the first or only the second network classifies
    correctly.  Both arrays have the same shape.
    """
    fewer, total = np.minimum(first_alone, second_alone), first_alone + second_alone
    p: Floats = np.minimum(1.0, 2 * stats.binom.cdf(fewer, total, 0.5))
    return p


def accuracy_difference_interval(first_alone: Counts, second_alone: Counts, images: int) -> tuple[Floats, Floats]:
    """The 95 % interval of the difference of two accuracies (0 to 1) on the same images, first minus second.

    Wald's interval with one image added to each count and two to the total (Bonett and Price 2012), as recommended by
    Fagerland, Lydersen and Laake (2014, "Recommended tests and confidence intervals for paired binomial proportions").
    The exact test is a little stricter: p can be above 0.05 although the interval just excludes zero.
    """
    first, second = (first_alone + 1) / (images + 2), (second_alone + 1) / (images + 2)
    half_width = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt((first + second - (first - second) ** 2) / (images + 2))
    return first - second - half_width, first - second + half_width


def holm(p: Floats) -> Floats:
    """Correct p values (N,) by Holm's step-down method (1979) to limit the chance of any false positive to alpha."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def detectable(n: Counts, alpha: float = ALPHA) -> Floats:
    """The difference that `n` seeds detect with a power of 80 %, in standard deviations of the paired differences.

    This applies to the two-sided t test and uses the noncentral t distribution (Cohen 1988, chapter 2).  It ignores
    significant differences in the wrong direction, which are less likely than alpha / 2.  Each `n` (N,) is at least 2.
    The result is NaN where `n` is too small for alpha.
    """
    critical = stats.t.isf(alpha / 2, df=n - 1)
    too_few = critical > 1000  # nctdtrinc would not return
    noncentrality = special.nctdtrinc(n - 1, 1 - POWER, np.where(too_few, 1.0, critical))
    return np.where(too_few, np.nan, noncentrality / np.sqrt(n))
