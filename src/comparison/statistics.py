"""What a few seeds, or one run's test images, say about an accuracy and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """Numbers of several seeds; what one seed cannot tell is None."""

    n: int
    mean: float
    sd: float | None  # standard deviation of a single run, n - 1 in the denominator
    half_width: float | None  # of the 95 % t interval of the mean


def summarise(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and the 95 % t interval of the mean (Student 1908), in the unit of the values.

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
    return Summary(len(values), mean, sd, quantile * sd / len(values) ** 0.5)


def accuracy_half_width(accuracy: float, images: int) -> float:
    """Half the width of the 95 % interval of one accuracy (0 to 1) measured on so many images (Wilson 1927).

    It counts the chance in which images were drawn, and nothing of what another seed would change.
    """
    interval = stats.binomtest(round(accuracy * images), images).proportion_ci(LEVEL, method="wilson")
    return float(interval.high - interval.low) / 2
