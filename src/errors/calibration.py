"""Measures whether a network's confidence matches its accuracy (expected calibration error, reliability diagram)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from src.results.statistics import Bools, Floats, rounding_sd, summarise

BINS = 15  # bins of equal width, as in Guo et al. 2017


@dataclass(frozen=True)
class Calibration:
    """The calibration of a run, or of all runs of a cell, in the bins (0, 1/15], (1/15, 2/15], ... (14/15, 1]."""

    ece: float  # expected calibration error, 0 to 1
    confidence: Floats  # mean confidence in each bin (15,); NaN in an empty bin
    accuracy: Floats  # accuracy in each bin (15,); NaN in an empty bin
    count: npt.NDArray[np.int64]  # number of images in each bin, over all seeds (15,)

    @property
    def overconfidence(self) -> float:
        """Mean confidence minus accuracy; positive for a network that is too confident."""
        gaps = np.where(self.count > 0, self.confidence - self.accuracy, 0.0)
        return float(gaps @ self.count / self.count.sum())

    def as_json(self) -> dict[str, Any]:
        """All fields as a JSON object; the confidence and accuracy of an empty bin are chance."""
        means = {"confidence": self.confidence.tolist(), "accuracy": self.accuracy.tolist()}
        bins = {name: [None if np.isnan(value) else value for value in values] for name, values in means.items()}
        return {"ece": self.ece, **bins, "count": self.count.tolist()}


@dataclass(frozen=True)
class ConfidenceGap:
    """How much too confident a cell is on the test images: mean confidence minus accuracy, mean over its seeds."""

    mean: float  # positive for a cell that is too confident
    half_width: float | None  # half the width of the interval over the seeds; None for one seed

    @property
    def direction(self) -> str:
        """`overconfident` or `underconfident` if the interval excludes 0, otherwise an empty string."""
        if self.half_width is None or abs(self.mean) <= self.half_width:
            return ""
        return "overconfident" if self.mean > 0 else "underconfident"


def confidence_gap(runs: Sequence[Calibration], level: float) -> ConfidenceGap:
    """The confidence gap of a cell, with a t interval that misses the true mean with the probability `level`."""
    min_sd = rounding_sd(int(runs[0].count.sum()), 1)
    summary = summarise([run.overconfidence for run in runs], min_sd, level)
    return ConfidenceGap(summary.mean, summary.half_width)


def calibrate(confidence: npt.NDArray[np.floating[Any]], correct: Bools) -> Calibration:
    """The calibration of one run, from the probability of the predicted class and whether that class is right (N,).

    The expected calibration error is the gap between accuracy and mean confidence in each bin, averaged with the number
    of images as weight (Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural networks", equations 2
    and 3; 15 bins of equal width).  Raises ValueError for an empty array.
    """
    if len(confidence) == 0:
        raise ValueError("no predictions to calibrate")
    edges = np.arange(1, BINS) / BINS
    bins = np.searchsorted(edges, confidence.astype(np.float64), side="left")  # an edge belongs to the lower bin
    count = np.bincount(bins, minlength=BINS).astype(np.int64)
    confidence_sum = np.bincount(bins, weights=confidence, minlength=BINS)
    correct_count = np.bincount(bins, weights=correct.astype(np.float64), minlength=BINS)
    ece = float(np.abs(correct_count - confidence_sum).sum() / count.sum())
    return Calibration(ece, _bin_means(confidence_sum, count), _bin_means(correct_count, count), count)


def pool_calibrations(runs: Sequence[Calibration]) -> Calibration:
    """The calibration of a cell: the mean of the calibration errors of its runs, and bins over all their predictions.

    An error from the pooled bins would be too small, because overconfident and underconfident runs would cancel out.
    """
    count = np.sum([run.count for run in runs], axis=0)
    confidence_sum = np.sum([np.nan_to_num(run.confidence) * run.count for run in runs], axis=0)
    correct_count = np.sum([np.nan_to_num(run.accuracy) * run.count for run in runs], axis=0)
    ece = float(np.mean([run.ece for run in runs]))
    return Calibration(ece, _bin_means(confidence_sum, count), _bin_means(correct_count, count), count)


def _bin_means(bin_sums: npt.NDArray[Any], image_counts: npt.NDArray[np.int64]) -> Floats:
    means: Floats = np.full(BINS, np.nan)
    np.divide(bin_sums, image_counts, out=means, where=image_counts > 0)
    return means
