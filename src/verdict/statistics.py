"""What a few seeds, or one run's test images, say about an accuracy and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special, stats

LEVEL = 0.95
ALPHA = 0.05
POWER = 0.8
WILCOXON_FROM = 6  # differences: 2 / 2**6 is the first power that is below 0.05
ALL_SIGNS = 13  # differences: 2**13 changes of sign are the last number below the 9,999 that scipy would otherwise draw
BCA_FROM = 20  # differences

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Summary:
    """Numbers of several seeds; what one seed cannot tell is None."""

    n: int
    mean: float
    sd: float | None  # standard deviation of a single run, n - 1 in the denominator
    half_width: float | None  # of the 95 % t interval of the mean


def summarise(values: Sequence[float], least_sd: float = 0.0) -> Summary:
    """Mean, standard deviation and the 95 % t interval of the mean (Student 1908), in the unit of the values.

    Args:
        values: one a seed.
        least_sd: what a standard deviation is taken for that is smaller, in the interval alone (`rounding_sd`).

    Raises:
        ValueError: for no values at all.
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
    """Half the width of the 95 % interval of one accuracy (0 to 1) measured on so many images (Wilson 1927).

    It counts the chance in which images were drawn, and nothing of what another seed would change.
    """
    interval = stats.binomtest(round(accuracy * images), images).proportion_ci(LEVEL, method="wilson")
    return float(interval.high - interval.low) / 2


def t_interval(mean: Floats, sd: Floats, n: Counts) -> tuple[Floats, Floats, Floats]:
    """The 95 % t interval of paired differences, and the p value of "no difference", two-sided (Student 1908).

    Args:
        mean: of the differences, any shape.
        sd: their standard deviation, n - 1 in the denominator, same shape, above 0.
        n: how many there are, same shape, at least 2.

    Returns:
        Lower end, upper end and p, of the same shape.
    """
    error = sd / np.sqrt(n)
    half_width = stats.t.ppf((1 + LEVEL) / 2, df=n - 1) * error
    return mean - half_width, mean + half_width, 2 * stats.t.sf(np.abs(mean) / error, df=n - 1)


def rounding_sd(images: int, accuracies: int = 2) -> float:
    """The standard deviation that counting whole images alone gives a sum of so many accuracies (0 to 1).

    An accuracy is a multiple of 1 / images, which hides a spread of 1 / (images sqrt(12)) (Sheppard 1898).  Differences
    that are equal in all seeds have shown no spread, but not that there is none: less than this is not believed.
    """
    return float(np.sqrt(accuracies / 12) / images)


def mcnemar(first_alone: Counts, second_alone: Counts) -> Floats:
    """McNemar's exact test (1947): p, two-sided, that each of two networks is as likely as the other to be right alone.

    Args:
        first_alone: images that only the first gets right, any shape.
        second_alone: images that only the second gets right, same shape.
    """
    low, of = np.minimum(first_alone, second_alone), first_alone + second_alone
    p: Floats = np.minimum(1.0, 2 * stats.binom.cdf(low, of, 0.5))
    return p


def accuracy_difference_interval(first_alone: Counts, second_alone: Counts, images: int) -> tuple[Floats, Floats]:
    """The 95 % interval of the difference of two accuracies (0 to 1) on the same images, first minus second.

    Wald's interval with one image added to either count and two to all (Bonett and Price 2012), which Fagerland,
    Lydersen and Laake (2014, "Recommended tests and confidence intervals for paired binomial proportions") recommend.
    The exact test is a little stricter: at the very edge the interval can lack zero where it says p > 0.05.
    """
    first, second = (first_alone + 1) / (images + 2), (second_alone + 1) / (images + 2)
    half_width = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt((first + second - (first - second) ** 2) / (images + 2))
    return first - second - half_width, first - second + half_width


def superiority(differences: Sequence[float]) -> float:
    """The share of seeds in which the first beats the second, ties half (Bouthillier et al. 2021, P(A > B))."""
    signs = np.sign(differences)
    return float(np.mean((signs + 1) / 2))


@cache  # page and JSON ask several times
def signed_rank(differences: tuple[float, ...]) -> float | None:
    """Wilcoxon's signed-rank test (1945): p, two-sided; None below 6 differences, where it cannot fall below 0.05.

    Zeros are dropped.  Exact by all changes of sign up to 13 differences, and without ties up to 50; else by the normal
    approximation.
    """
    if len(differences) < WILCOXON_FROM:
        return None
    # Differences that are the same number of images can differ in the last bit, which would hide a tie.
    values = np.round(differences, 12)
    values = values[values != 0]
    if len(values) == 0:
        return 1.0
    if len(values) > ALL_SIGNS:
        return float(stats.wilcoxon(values).pvalue)
    # What stats.wilcoxon does where there are ties, but with all changes of sign at once: 2 ms for ten seeds, not 76.
    found = stats.permutation_test(
        (np.copysign(stats.rankdata(np.abs(values)), values),),
        lambda ranks, axis: np.where(ranks > 0, ranks, 0).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
    )
    return float(found.pvalue)


@cache
def bca(differences: tuple[float, ...]) -> tuple[float, float] | None:
    """The 95 % BCa bootstrap interval of the mean (Efron 1987), without the t interval's normality.

    None below 20 values, where it is too short (README tells how rarely it then covers), and where all are equal.
    The same values give the same interval: its random numbers have a fixed seed.
    """
    if len(differences) < BCA_FROM or np.ptp(differences) == 0:
        return None
    found = stats.bootstrap((differences,), np.mean, confidence_level=LEVEL, method="BCa", rng=0)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def holm(p: Floats) -> Floats:
    """Holm's step-down correction (1979): below alpha, at most alpha of all such families hold a false one (N,)."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def detectable(n: Counts, alpha: float = ALPHA) -> Floats:
    """The difference, in standard deviations of the paired differences, that n seeds show with a power of 80 %.

    Of the two-sided t test, by the noncentral t distribution (Cohen 1988, chapter 2); that the test finds the opposite,
    which is less likely than alpha / 2, is not counted.  NaN where n is too few for so small an alpha.

    Args:
        n: numbers of seeds, at least 2 (N,).
        alpha: the level of the test.
    """
    critical = stats.t.isf(alpha / 2, df=n - 1)
    few = critical > 1000  # where the iteration would not end
    noncentrality = special.nctdtrinc(n - 1, 1 - POWER, np.where(few, 1.0, critical))
    return np.where(few, np.nan, noncentrality / np.sqrt(n))
