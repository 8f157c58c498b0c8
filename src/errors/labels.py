"""Finds suspected label errors: test images to which the runs confidently assign another class than their label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.errors.answers import RunPredictions
from src.results.statistics import Floats

MARGIN = 0.5  # by how much the adjusted probability of the suggested class must exceed that of the label
# If the runs together misclassify a larger share of the images, almost all suspects are their own mistakes: 132 of 136
# in the last measurement below.  Ten popular test sets have 3.3 % of label errors on average (Northcutt, Athalye and
# Mueller 2021).
MOST_ERRORS = 0.05


@dataclass(frozen=True)
class Suspect:
    """A test image that may have a wrong label.  Check it by eye, because all runs can learn the same mistake."""

    index: int  # position of the image in the test file
    label: int
    suggested: int
    share: float  # share of the runs that predict the suggested class, 0 to 1
    confidence: float  # probability of the suggested class, mean over all runs


def find_suspects(runs: Sequence[RunPredictions], probabilities: Floats) -> tuple[Suspect, ...]:
    """The images that most runs confidently assign to a class other than the label, the most suspicious first.

    This is confident learning (Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset
    labels").  A class's self-confidence is its mean probability over the images with that label.  Subtracting it makes
    classes comparable that the runs always doubt or always prefer.  Images are ranked by the normalised margin: the
    adjusted probability of the label minus that of the suggested class, averaged over the runs; ties by index.

    An image is suspected if more than half of the runs predict the suggested class, this class has more than half of
    the mean probability, and the margin is below -`MARGIN`.  The paper's threshold (each run must reach a class's
    self-confidence) suspected only one MNIST image, wrongly.  `probabilities` are means over the runs (N, classes).

    Two sweeps of six networks of 99 % accuracy suspected 28 and 26 of MNIST's test images.  A majority of five people
    called the label wrong for 9 and 8 of them, and right for 15 and 12; the other 10 were not checked (Northcutt,
    Athalye and Mueller 2021, "Pervasive label errors in test sets"; github.com/cleanlab/label-errors,
    mturk/mnist_mturk.json).  Two sweeps of six networks of 84 and 88 % suspected 42 and 94 images; the label was wrong
    for 2 and 2 of them.
    """
    label = runs[0].label
    images = np.arange(len(label))
    adjusted_probabilities = probabilities - np.mean([run.self_confidence for run in runs], axis=0)
    suggested = probabilities.argmax(axis=1)
    margin = adjusted_probabilities[images, label] - adjusted_probabilities[images, suggested]
    agreeing_count = np.sum([run.predicted == suggested for run in runs], axis=0)
    confidence = probabilities[images, suggested]
    suspicious = (suggested != label) & (2 * agreeing_count > len(runs)) & (confidence > 0.5) & (margin < -MARGIN)
    suspected_images, shares = np.flatnonzero(suspicious), agreeing_count / len(runs)
    return tuple(
        Suspect(index, int(label[index]), int(suggested[index]), float(shares[index]), float(confidence[index]))
        for index in suspected_images[np.argsort(margin[suspected_images], kind="stable")].tolist()
    )
