"""Reads the predictions of many runs on the same test images, one run at a time, and keeps a few bytes an image."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from src.console import patiently
from src.errors.calibration import Calibration, calibrate, pool
from src.results.results import Results
from src.runs.folder import FinishedJob
from src.runs.integrity import PREDICTIONS, checked_predictions
from src.runs.predictions import Predictions
from src.runs.stored import Harmed, NoAccess

Bools = npt.NDArray[np.bool_]
Classes = npt.NDArray[np.int16]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """The predictions of one run for N test images."""

    label: Labels  # (N,), one array for all runs
    predicted: Classes  # (N,)
    confidence: npt.NDArray[np.float32]  # probability of the predicted class (N,)
    self_confidence: npt.NDArray[np.float64]  # mean probability of a class over the images with that label (classes,)
    calibration: Calibration

    @property
    def wrong(self) -> Bools:
        """The misclassified images (N,)."""
        return np.not_equal(self.predicted, self.label)


@dataclass(frozen=True)
class CellAnswers:
    """The majority vote of a cell's runs; the mean probability breaks ties."""

    runs: Mapping[str, Answers]  # by the run's name; at least one
    predicted: Classes  # (N,)
    confidence: npt.NDArray[np.float32]  # mean probability of the predicted class over all runs (N,)
    votes: npt.NDArray[np.int16]  # runs that predict this class (N,)
    calibration: Calibration

    @property
    def label(self) -> Labels:
        """The true classes (N,)."""
        return next(iter(self.runs.values())).label

    @property
    def wrong(self) -> Bools:
        """The images that more than half of the runs misclassify (N,)."""
        return 2 * self._errors() > len(self.runs)

    @property
    def right(self) -> Bools:
        """The images that more than half of the runs classify correctly (N,); a tie is neither wrong nor right."""
        return 2 * self._errors() < len(self.runs)

    def _errors(self) -> Labels:
        errors: Labels = np.sum([run.wrong for run in self.runs.values()], axis=0, dtype=np.int64)
        return errors


@dataclass
class _CellSums:
    """Sums over a cell's runs, built up while one run after the other is in memory."""

    probabilities: npt.NDArray[np.float64]  # (N, classes)
    votes: npt.NDArray[np.int16]  # (N, classes)
    runs: dict[str, Answers] = field(default_factory=dict)

    def add(self, run: str, predictions: Predictions, label: Labels) -> None:
        every, confidence = np.arange(len(label)), predictions.confidence
        self.probabilities += predictions.probabilities
        self.votes[every, predictions.predicted] += 1
        self.runs[run] = Answers(
            label,
            predictions.predicted.astype(np.int16),
            confidence,
            self_confidence(label, predictions.probabilities),
            calibrate(confidence, ~predictions.wrong),
        )

    def answers(self) -> CellAnswers:
        every, n = np.arange(len(self.votes)), len(self.runs)
        # A mean probability is less than one vote, so it only breaks ties.
        predicted = (self.votes + self.probabilities / (n + 1)).argmax(axis=1)
        return CellAnswers(
            self.runs,
            predicted.astype(np.int16),
            (self.probabilities[every, predicted] / n).astype(np.float32),
            self.votes[every, predicted],
            pool([run.calibration for run in self.runs.values()]),
        )


def read_answers(
    results: Results, digest: str
) -> tuple[dict[str, CellAnswers], npt.NDArray[np.float64], tuple[str, ...]]:
    """Read the predictions of all runs on one dataset.

    Only one run's probabilities are in memory at a time.  Each run keeps 6 bytes an image, each cell 8.

    Args:
        results: the compared runs.
        digest: the dataset.

    Returns:
        The answers of each cell with at least one readable run, by the cell's name; the mean probabilities of all runs
        (N, classes); for each unreadable run the reason.
    """
    source = results.sources[digest]
    shape = (source["test"], len(source["classes"]))
    total, label = np.zeros((0, shape[1])), None
    answers: dict[str, CellAnswers] = {}
    unreadable = []
    runs = results.runs[results.runs["dataset"] == digest]
    for cell, names in patiently(list(runs.groupby("cell", sort=False)["run"]), "reading the predictions"):
        sums: _CellSums | None = None  # allocated only when a file confirms the journal's number of images
        for run in names:
            try:
                predictions = _read_predictions(results.jobs[run], shape, label)
            except FileNotFoundError as error:
                unreadable.append(f"{error.filename} is missing")
            except Harmed as harmed:
                unreadable.append(str(harmed))
            except NoAccess as refusal:
                unreadable.append(refusal.what)
            else:
                label = predictions.label.astype(np.int64) if label is None else label
                sums = sums or _CellSums(np.zeros(shape), np.zeros(shape, dtype=np.int16))
                sums.add(run, predictions, label)
        if sums:
            answers[str(cell)] = sums.answers()
            total = np.add(total, sums.probabilities, out=total) if len(total) else sums.probabilities
    return answers, total / max(sum(len(cell.runs) for cell in answers.values()), 1), tuple(unreadable)


def self_confidence(label: Labels, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The mean probability of each class over the images with that label (classes,); 1 for a class without images."""
    count = np.bincount(label, minlength=probabilities.shape[1])
    own = np.bincount(label, weights=probabilities[np.arange(len(label)), label], minlength=len(count))
    means = np.ones(len(count))
    np.divide(own, count, out=means, where=count > 0)
    return means


def _read_predictions(job: FinishedJob, shape: tuple[int, int], label: Labels | None) -> Predictions:
    """A run's predictions, checked against the expected (images, classes) and the labels of the first run.

    Raises:
        FileNotFoundError, NoAccess, Harmed: if they cannot be used.
    """
    predictions, path = checked_predictions(job), job.folder.path / PREDICTIONS
    if predictions.probabilities.shape != shape:
        raise Harmed(path, "has a different number of predictions or classes than the dataset")
    if label is not None and not np.array_equal(predictions.label, label):
        raise Harmed(path, "has different labels than the first run")
    return predictions
