"""Whether a run is right as often as it is sure: expected calibration error, and what a reliability diagram shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 15  # of equal width, as in Guo et al. 2017
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """One run's, or a cell's over its seeds, in bins of confidence: (0, 1/15], (1/15, 2/15], ... (14/15, 1]."""

    ece: float  # expected calibration error, 0 to 1
    confidence: Floats  # mean of each bin (15,); NaN where it is empty
    accuracy: Floats  # of each bin (15,); NaN where it is empty
    count: npt.NDArray[np.int64]  # images of each bin (15,); of all seeds together

    @property
    def overconfidence(self) -> float:
        """Mean confidence less accuracy: above 0 the answers are surer than they are right."""
        gaps = np.where(self.count > 0, self.confidence - self.accuracy, 0.0)
        return float(gaps @ self.count / self.count.sum())

    def as_json(self) -> dict[str, Any]:
        """All of it; empty bins have no confidence and no accuracy: null."""

        def listed(values: Floats) -> list[float | None]:
            return [None if np.isnan(value) else float(value) for value in values]

        return {
            "ece": self.ece,
            "confidence": listed(self.confidence),
            "accuracy": listed(self.accuracy),
            "count": self.count.tolist(),
        }


def calibrate(confidence: npt.NDArray[np.floating[Any]], right: npt.NDArray[np.bool_]) -> Calibration:
    """The expected calibration error of one run's answers.

    The gap between accuracy and mean confidence of each bin, averaged by the bins' numbers of images (Guo, Pleiss, Sun
    and Weinberger 2017, "On calibration of modern neural networks", equations 2 and 3; 15 bins of equal width).

    Args:
        confidence: the probability given to the predicted class, 0 to 1 (N,).
        right: whether that class is the label (N,).

    Raises:
        ValueError: for no answers at all.
    """
    if len(confidence) == 0:
        raise ValueError("no answers to calibrate")
    inner = np.arange(1, BINS) / BINS
    place = np.searchsorted(inner, confidence.astype(np.float64), side="left")  # a value on an edge is in the lower bin
    count = np.bincount(place, minlength=BINS).astype(np.int64)
    sure = np.bincount(place, weights=confidence, minlength=BINS)
    hits = np.bincount(place, weights=right.astype(np.float64), minlength=BINS)
    return Calibration(float(np.abs(hits - sure).sum() / count.sum()), _share(sure, count), _share(hits, count), count)


def pool(runs: Sequence[Calibration]) -> Calibration:
    """A cell's calibration: the mean of its runs' errors, and the bins of all of them together.

    The error of the pooled bins would be smaller than that of any run where one is too sure and another not enough.
    """
    count = np.sum([run.count for run in runs], axis=0)
    sure = np.sum([np.nan_to_num(run.confidence) * run.count for run in runs], axis=0)
    hits = np.sum([np.nan_to_num(run.accuracy) * run.count for run in runs], axis=0)
    return Calibration(float(np.mean([run.ece for run in runs])), _share(sure, count), _share(hits, count), count)


def _share(total: npt.NDArray[Any], count: npt.NDArray[np.int64]) -> Floats:
    shares: Floats = np.full(BINS, np.nan)
    np.divide(total, count, out=shares, where=count > 0)
    return shares
