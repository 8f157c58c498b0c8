"""Collects the test errors of all runs: which images they misclassify, and how cells differ in their errors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from src.bad_input import BadInput
from src.config import option_from_stored
from src.data.idx import Bytes
from src.errors.answers import Bools, CellPredictions, Labels, RunPredictions, read_cell_predictions
from src.errors.calibration import Calibration
from src.errors.labels import Suspect, find_suspects
from src.errors.mistakes import ConfusionDifference, confusion_differences, disagreement, images_of_one_cell
from src.options import Data
from src.results.results import Results
from src.runs.predictions import Indices, confusion_counts

MAX_MATRIX_CELLS = 100  # with more cells, the JSON does not list the disagreement of every two cells


@dataclass(frozen=True)
class Atlas:
    """The test errors of all runs on one dataset.  A cell misclassifies an image if more than half of its runs do."""

    dataset: str  # the dataset's name and the first digits of its digest, such as `mnist 1a2b3c4d`
    source: Mapping[str, Any]  # the stored description of the dataset
    data: Data
    answers: Mapping[str, CellPredictions]  # predictions of each cell with a readable run, by the cell's name
    probabilities: npt.NDArray[np.float64]  # probabilities of the classes, mean over all runs (N, classes)
    unreadable_reasons: tuple[str, ...]  # for each run without usable predictions, the reason

    @cached_property
    def runs(self) -> dict[str, RunPredictions]:
        """The predictions of each run by its name, in the order of the cells."""
        return {name: run for cell in self.answers.values() for name, run in cell.runs.items()}

    @property
    def labels(self) -> Labels:
        """The true classes of the test images (N,)."""
        return next(iter(self.runs.values())).label

    @cached_property
    def wrong_in_all_runs(self) -> Indices:
        """The indices of the images that every run misclassifies, the highest mean confidence first."""
        if not self.runs:
            return np.empty(0, dtype=np.int64)
        images = np.flatnonzero(np.stack([run.wrong for run in self.runs.values()]).all(axis=0))
        confidence = np.mean([run.confidence[images] for run in self.runs.values()], axis=0)
        return images[np.argsort(-confidence, kind="stable")].astype(np.int64)

    @cached_property
    def wrong_in_one_cell(self) -> dict[str, Indices]:
        """For each cell, the images that only this cell gets wrong, highest confidence first; split votes come last."""
        cells = self.answers.values()
        return self._images_of_one_cell([cell.wrong for cell in cells], [cell.correct for cell in cells])

    @cached_property
    def right_in_one_cell(self) -> dict[str, Indices]:
        """For each cell, the images that only this cell gets right, the highest confidence first."""
        cells = self.answers.values()
        return self._images_of_one_cell([cell.correct for cell in cells], [cell.wrong for cell in cells])

    def _images_of_one_cell(self, marked: Sequence[Bools], opposite: Sequence[Bools]) -> dict[str, Indices]:
        images_by_cell = {}
        images = images_of_one_cell(np.array(marked), np.array(opposite))
        for (name, cell), indices in zip(self.answers.items(), images, strict=True):
            split_votes = 2 * cell.votes[indices] <= len(cell.runs)  # most runs are wrong, but disagree
            images_by_cell[name] = indices[np.lexsort((indices, -cell.confidence[indices], split_votes))]
        return images_by_cell

    @cached_property
    def disagreement(self) -> npt.NDArray[np.float64]:
        """The share of images on which runs of two cells disagree (cells, cells), in the order of `answers`.

        The diagonal compares two seeds of the same cell, and is NaN for a cell with one run.
        """
        predicted = [[run.predicted for run in cell.runs.values()] for cell in self.answers.values()]
        return disagreement(predicted, len(self.source["classes"]))

    @cached_property
    def confusion_differences(self) -> tuple[ConfusionDifference, ...]:
        """For each confusion of two classes, the cells that make it most and least often, largest difference first."""
        if len(self.answers) < 2:
            return ()
        class_count = len(self.source["classes"])
        means = [
            np.mean([confusion_counts(run.label, run.predicted, class_count) for run in cell.runs.values()], axis=0)
            for cell in self.answers.values()
        ]
        return confusion_differences(list(self.answers), np.stack(means))

    @cached_property
    def suspects(self) -> tuple[Suspect, ...]:
        """The test images with suspected label errors, the most suspicious first; empty for a single run."""
        return find_suspects(list(self.runs.values()), self.probabilities) if len(self.runs) > 1 else ()

    @property
    def calibration(self) -> dict[str, Calibration]:
        """The calibration of each cell, by the cell's name."""
        return {name: cell.calibration for name, cell in self.answers.items()}

    def test_images(self) -> Bytes:
        """The test images (N, C, H, W); raises BadInput if they are missing or have changed since the runs."""
        from src.data.sources import load

        images = load(self.data)
        if images.source.digest != self.source["digest"]:
            raise BadInput(f"{images.source.place} no longer contains the test images of these runs")
        return images.test_images

    def as_json(self) -> dict[str, Any]:
        """All test errors as a JSON object: shares from 0 to 1, images and classes as their indices."""
        shares = None
        if len(self.runs) > 1 and len(self.answers) <= MAX_MATRIX_CELLS:
            shares = [[None if np.isnan(share) else share for share in row] for row in self.disagreement.tolist()]
        return {
            "dataset": {"name": self.data.name, "digest": self.source["digest"], "test": self.source["test"]},
            "runs": list(self.runs),
            "cells": list(self.answers),
            "wrong by all": self.wrong_in_all_runs.tolist(),
            "wrong by one cell alone": {name: images.tolist() for name, images in self.wrong_in_one_cell.items()},
            "right by one cell alone": {name: images.tolist() for name, images in self.right_in_one_cell.items()},
            "disagreement": shares,
            "confusion differences": [asdict(difference) for difference in self.confusion_differences],
            "suspected label errors": [asdict(suspect) for suspect in self.suspects],
            "calibration": {
                name: cell.calibration.as_json()
                | {"runs": {run: answers.calibration.ece for run, answers in cell.runs.items()}}
                for name, cell in self.answers.items()
            },
            "left out": list(self.unreadable_reasons),
        }


def read_atlases(results: Results) -> list[Atlas]:
    """Read the predictions of all runs, and return the test errors on each dataset."""
    atlases = []
    for digest, runs in results.runs.groupby("dataset", sort=False):
        first_run, source = runs.iloc[0], results.sources[str(digest)]
        data = option_from_stored("data", results.jobs[first_run["run"]].start["config"]["data"])
        atlases.append(Atlas(first_run["dataset_name"], source, data, *read_cell_predictions(results, str(digest))))
    return atlases


def correct_by_run(atlases: Sequence[Atlas]) -> dict[str, Bools]:
    """Map the name of each run to an array that marks the images it classifies correctly (N,)."""
    return {name: ~run.wrong for atlas in atlases for name, run in atlas.runs.items()}
