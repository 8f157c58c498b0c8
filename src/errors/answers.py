"""Reads the predictions of all runs on a dataset, one run at a time, and keeps only a few bytes per image and run."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from src.console import progress_bar
from src.errors.calibration import Calibration, calibrate, pool_calibrations
from src.results.results import Results
from src.results.statistics import Bools, Floats
from src.runs.folder import FinishedJob
from src.runs.integrity import PREDICTIONS, load_checked_predictions
from src.runs.predictions import Predictions
from src.storage.stored import DamagedFile, NoAccess

THREADS = 2  # they decompress the next runs while the main thread works on a run
AHEAD = 8  # runs that wait for the main thread, at most
Classes = npt.NDArray[np.int16]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RunPredictions:
    """The predictions of one run for N test images."""

    label: Labels  # true classes (N,); all runs share one array
    predicted: Classes  # the predicted class of each image (N,)
    confidence: npt.NDArray[np.float32]  # probability of the predicted class (N,)
    self_confidence: Floats  # mean probability of a class over the images with that label (classes,)
    calibration: Calibration

    @property
    def wrong(self) -> Bools:
        """Whether the run misclassifies each image (N,)."""
        return np.not_equal(self.predicted, self.label)


@dataclass(frozen=True)
class CellPredictions:
    """The predictions of a cell for N test images: its runs vote, and the mean probability breaks ties."""

    runs: Mapping[str, RunPredictions]  # the predictions of each run, by its name; at least one run
    predicted: Classes  # the predicted class of each image (N,)
    confidence: npt.NDArray[np.float32]  # probability of the predicted class, mean over the runs (N,)
    votes: npt.NDArray[np.int16]  # number of runs that predict the class in `predicted` (N,)
    calibration: Calibration

    @property
    def label(self) -> Labels:
        """The true classes (N,)."""
        return next(iter(self.runs.values())).label

    @property
    def errors(self) -> Labels:
        """The number of runs that misclassify each image (N,)."""
        errors: Labels = np.sum([run.wrong for run in self.runs.values()], axis=0, dtype=np.int64)
        return errors

    @property
    def wrong(self) -> Bools:
        """Whether more than half of the runs misclassify each image (N,)."""
        return 2 * self.errors > len(self.runs)

    @property
    def correct(self) -> Bools:
        """Whether more than half of the runs classify each image correctly (N,); a tie is neither wrong nor right."""
        return 2 * self.errors < len(self.runs)


def read_cell_predictions(results: Results, digest: str) -> tuple[dict[str, CellPredictions], Floats, tuple[str, ...]]:
    """Read the predictions of all runs on one dataset, given by its digest.

    Returns the predictions of each cell with a readable run, by the cell's name; the mean probabilities over all runs
    (N, classes); and a reason for each unreadable run.  Only the probabilities of a few runs are in memory at a time.
    """
    source = results.sources[digest]
    shape = (source["test"], len(source["classes"]))
    sums, label = np.zeros((0, shape[1])), None
    cells: dict[str, CellPredictions] = {}
    unreadable_reasons = []
    runs_by_cell = results.runs[results.runs["dataset"] == digest].groupby("cell", sort=False)["run"].agg(list)
    jobs = (results.jobs[run] for run_names in runs_by_cell for run in run_names)
    with ThreadPoolExecutor(THREADS) as pool:
        futures = _read_ahead(pool, jobs)
        for cell, run_names in progress_bar(list(runs_by_cell.items()), "reading the predictions"):
            runs: dict[str, RunPredictions] = {}
            for run in run_names:
                try:
                    predictions = _check_predictions(next(futures), results.jobs[run], shape, label)
                except DamagedFile as damaged:
                    unreadable_reasons.append(str(damaged))
                except NoAccess as refusal:
                    unreadable_reasons.append(refusal.reason)
                else:
                    label = predictions.label.astype(np.int64) if label is None else label
                    if not runs:  # allocate only now: the journal's size may be wrong, but this file confirms it
                        probabilities, votes = np.zeros(shape), np.zeros(shape, dtype=np.int16)
                    probabilities += predictions.probabilities
                    votes[np.arange(len(label)), predictions.predicted] += 1
                    per_class, correct = self_confidence(label, predictions.probabilities), ~predictions.wrong
                    predicted, confidence = predictions.predicted.astype(np.int16), predictions.confidence
                    runs[run] = RunPredictions(label, predicted, confidence, per_class, calibrate(confidence, correct))
            if runs:
                cells[str(cell)] = _combine_votes(runs, probabilities, votes)
                sums = np.add(sums, probabilities, out=sums) if len(sums) else probabilities
    return cells, sums / max(sum(len(cell.runs) for cell in cells.values()), 1), tuple(unreadable_reasons)


def _combine_votes(
    runs: Mapping[str, RunPredictions], probabilities: Floats, votes: npt.NDArray[np.int16]
) -> CellPredictions:
    """Return a cell's predictions.  `probabilities` and `votes` are sums over its runs (N, classes)."""
    all_images, run_count = np.arange(len(votes)), len(runs)
    # A mean probability is less than one vote, so it only breaks ties.
    predicted = (votes + probabilities / (run_count + 1)).argmax(axis=1)
    confidence = (probabilities[all_images, predicted] / run_count).astype(np.float32)
    calibration = pool_calibrations([run.calibration for run in runs.values()])
    return CellPredictions(runs, predicted.astype(np.int16), confidence, votes[all_images, predicted], calibration)


def self_confidence(label: Labels, probabilities: npt.NDArray[np.float32]) -> Floats:
    """The mean probability of each class over the images with that label (classes,); 1 for a class without images."""
    counts = np.bincount(label, minlength=probabilities.shape[1])
    probability_sums = np.bincount(label, weights=probabilities[np.arange(len(label)), label], minlength=len(counts))
    means = np.ones(len(counts))
    np.divide(probability_sums, counts, out=means, where=counts > 0)
    return means


def _read_ahead(pool: ThreadPoolExecutor, jobs: Iterable[FinishedJob]) -> Iterator["Future[Predictions]"]:
    """Yield the future predictions of each job, in order, while the pool reads those of the next jobs."""
    futures: deque[Future[Predictions]] = deque()
    for job in jobs:
        futures.append(pool.submit(load_checked_predictions, job))
        if len(futures) > AHEAD:
            yield futures.popleft()
    yield from futures


def _check_predictions(
    future: "Future[Predictions]", job: FinishedJob, shape: tuple[int, int], label: Labels | None
) -> Predictions:
    """Return the predictions of a run, after a check of their shape (images, classes) and their labels.

    Raises NoAccess or DamagedFile if the predictions cannot be used.
    """
    path = job.folder.path / PREDICTIONS
    try:
        predictions = future.result()
    except FileNotFoundError as error:
        raise DamagedFile(path, "is missing") from error
    if predictions.probabilities.shape != shape:
        raise DamagedFile(path, "does not have as many predictions and classes as the dataset")
    if label is not None and not np.array_equal(predictions.label, label):
        raise DamagedFile(path, "has other labels than the predictions of the first run")
    return predictions
