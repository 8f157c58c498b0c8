"""Suspected label errors: test images that the runs together confidently call something else than their label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from src.errors.answers import Answers

MARGIN = 0.5  # by so much the suggested class must be ahead of the label to be suspected


@dataclass(frozen=True)
class Suspect:
    """A test image whose label may be wrong.  Runs that learnt the same mistake look alike: a person must judge."""

    index: int  # in the test file
    label: int
    suggested: int
    share: float  # of the runs whose answer is the suggested class, 0 to 1
    confidence: float  # in the suggested class, mean over all runs


def suspected_labels(runs: Sequence[Answers], probabilities: npt.NDArray[np.float64]) -> tuple[Suspect, ...]:
    """The images that the runs together are sure to be another class, the most suspicious first, equal ones by index.

    Confident learning (Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset
    labels"): a class's threshold is the mean probability that the images labelled so give it (their self-confidence),
    and images are ranked by the normalised margin, here of probabilities less their class's threshold, both averaged
    over the runs: the label's less the suggested class's.  What the runs always doubt, and what they always like, is
    thereby no evidence.  An image is suspected where more than half of the runs give the same other class as their
    answer, it has more than half of the mean probability, and the margin is below -`MARGIN`.
    The cut is ours, not the paper's, and was chosen by looking at one MNIST sweep: asking most runs to reach their own
    thresholds (0.98 to 0.995 there) left one image of 10,000, whose label is right.

    Args:
        runs: at least one.
        probabilities: the mean over the runs (N, classes).
    """
    label = runs[0].label
    every = np.arange(len(label))
    adjusted = probabilities - np.mean([run.self_confidence for run in runs], axis=0)
    suggested = probabilities.argmax(axis=1)
    margin = adjusted[every, label] - adjusted[every, suggested]
    agreeing = np.zeros(len(label), dtype=np.int64)
    for run in runs:
        agreeing += run.predicted == suggested
    sure = (2 * agreeing > len(runs)) & (probabilities[every, suggested] > 0.5) & (margin < -MARGIN)
    chosen = np.flatnonzero(sure & (suggested != label))
    return tuple(
        Suspect(
            index,
            int(label[index]),
            int(suggested[index]),
            float(agreeing[index] / len(runs)),
            float(probabilities[index, suggested[index]]),
        )
        for index in chosen[np.argsort(margin[chosen], kind="stable")].tolist()
    )
