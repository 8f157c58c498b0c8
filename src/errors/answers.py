"""The answers of many runs to the same test images, read one run after the other and kept small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from src.console import progress_bar
from src.errors.calibration import Calibration, calibrate, pool
from src.results.records import Cell
from src.runs.folder import FinishedJob
from src.runs.integrity import PREDICTIONS, checked_predictions
from src.runs.predictions import Predictions
from src.storage.stored import Damaged, NoAccess

Bools = npt.NDArray[np.bool_]
Classes = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Answers:
    """One run's: label (N,), shared by all runs; predicted class (N,); the probability given to it (N,)."""

    label: npt.NDArray[np.int64]
    predicted: Classes
    confidence: npt.NDArray[np.float32]
    self_confidence: npt.NDArray[np.float64]  # mean probability of a class on the images labelled so (classes,)
    calibration: Calibration

    def __len__(self) -> int:
        return len(self.label)

    @property
    def wrong(self) -> Bools:
        """Which images are misclassified (N,)."""
        return np.not_equal(self.predicted, self.label)


@dataclass(frozen=True)
class CellAnswers:
    """A cell's, over its seeds: the class that most of them predict, equal votes by the mean probability."""

    runs: Mapping[str, Answers]  # by the run's name; at least one
    predicted: Classes  # (N,)
    confidence: npt.NDArray[np.float32]  # in that class, mean over all its runs (N,)
    votes: npt.NDArray[np.int16]  # runs that predict that class (N,)
    calibration: Calibration

    @property
    def label(self) -> npt.NDArray[np.int64]:
        """The true classes (N,)."""
        return next(iter(self.runs.values())).label

    @property
    def wrong(self) -> Bools:
        """Which images more than half of its runs get wrong (N,)."""
        return 2 * self._errors() > len(self.runs)

    @property
    def right(self) -> Bools:
        """Which images more than half of its runs get right (N,); an even number of runs can be of two minds."""
        return 2 * self._errors() < len(self.runs)

    def _errors(self) -> npt.NDArray[np.int64]:
        errors: npt.NDArray[np.int64] = np.sum([run.wrong for run in self.runs.values()], axis=0, dtype=np.int64)
        return errors


@dataclass
class _Sums:
    """What needs all probabilities, added up run by run."""

    probabilities: npt.NDArray[np.float64]  # (N, classes)
    votes: npt.NDArray[np.int16]  # (N, classes)
    runs: dict[str, Answers] = field(default_factory=dict)

    def add(self, name: str, found: Predictions, label: npt.NDArray[np.int64]) -> None:
        """Count one run's predictions of images (N,) with these labels."""
        every, sure = np.arange(len(label)), found.confidence
        self.probabilities += found.probabilities
        self.votes[every, found.predicted] += 1
        self.runs[name] = Answers(
            label,
            found.predicted.astype(np.int16),
            sure,
            self_confidence(label, found.probabilities),
            calibrate(sure, ~found.wrong),
        )

    def cell(self) -> CellAnswers:
        every, n = np.arange(len(self.votes)), len(self.runs)
        # A mean probability is less than a vote, and so decides between equal votes alone.
        predicted = (self.votes + self.probabilities / (n + 1)).argmax(axis=1)
        return CellAnswers(
            self.runs,
            predicted.astype(np.int16),
            (self.probabilities[every, predicted] / n).astype(np.float32),
            self.votes[every, predicted],
            pool([run.calibration for run in self.runs.values()]),
        )


def read_answers(cells: Sequence[Cell]) -> tuple[dict[str, CellAnswers], npt.NDArray[np.float64], tuple[str, ...]]:
    """Read the stored predictions of runs that were tested on the same dataset.

    One run's probabilities are held at a time; of each run 6 bytes an image stay, of each cell 8.

    Returns:
        Each cell's answers by its label, where a run can be read; the mean probabilities of all runs (N, classes); the
        runs that are left out, and why.
    """
    shape = (cells[0].source["test"], len(cells[0].source["classes"]))
    total, label = np.zeros((0, shape[1])), None
    read: dict[str, CellAnswers] = {}
    unreadable = []
    for cell in progress_bar(cells, "reading the predictions"):
        sums: _Sums | None = None  # made when the first file has as many predictions as the journal says
        for job in cell.jobs:
            try:
                found = _predictions(job, shape, label)
            except FileNotFoundError as error:
                unreadable.append(f"{error.filename} is missing")
            except Damaged as damaged:
                unreadable.append(str(damaged))
            except NoAccess as refusal:
                unreadable.append(refusal.what)
            else:
                label = found.label.astype(np.int64) if label is None else label
                sums = sums or _Sums(np.zeros(shape), np.zeros(shape, dtype=np.int16))
                sums.add(cell.name(job), found, label)
        if sums:
            read[cell.label] = sums.cell()
            total = np.add(total, sums.probabilities, out=total) if len(total) else sums.probabilities
    return read, total / max(sum(len(cell.runs) for cell in read.values()), 1), tuple(unreadable)


def self_confidence(label: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The mean probability of each class on the images labelled so (classes,); 1 where there are none."""
    count = np.bincount(label, minlength=probabilities.shape[1])
    own = np.bincount(label, weights=probabilities[np.arange(len(label)), label], minlength=len(count))
    means = np.ones(len(count))
    np.divide(own, count, out=means, where=count > 0)
    return means


def _predictions(job: FinishedJob, shape: tuple[int, int], label: npt.NDArray[np.int64] | None) -> Predictions:
    """One run's predictions, of (images, classes).

    Raises:
        FileNotFoundError, NoAccess, Damaged: where they cannot be used.
    """
    found, path = checked_predictions(job), job.folder.path / PREDICTIONS
    if found.probabilities.shape != shape:
        raise Damaged(path, "does not have a prediction for each test image and class")
    if label is not None and not np.array_equal(found.label, label):
        raise Damaged(path, "holds other labels than those of the first run")
    return found
