"""Collects the test errors of all runs: which images they misclassify, and how cells differ in their errors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from src.bad_input import BadInput
from src.config import option_from_stored
from src.data.idx import Bytes
from src.datasets import Data
from src.errors.answers import CellPredictions, Labels, RunPredictions, read_cell_predictions
from src.errors.calibration import ConfidenceGap, confidence_gap
from src.errors.chance import chance_limits
from src.errors.labels import MOST_ERRORS, Suspect, find_suspects
from src.errors.seed_table import ConfusionDifference, SeedTable, confusion_differences, seed_table
from src.results.results import Results
from src.results.statistics import Bools, Floats
from src.runs.predictions import Indices

LEVEL = 0.005  # the probability that the errors on all datasets show any false finding


@dataclass(frozen=True)
class Atlas:
    """The test errors of all runs on one dataset.  A cell misclassifies an image if more than half of its runs do."""

    dataset: str  # the dataset's name and the first digits of its digest, such as `mnist 1a2b3c4d`
    source: Mapping[str, Any]  # the stored description of the dataset
    data: Data
    cells: Mapping[str, CellPredictions]  # predictions of each cell with a readable run, by the cell's name
    probabilities: Floats  # probabilities of the classes, mean over all runs (N, classes)
    unreadable_reasons: tuple[str, ...]  # for each run without usable predictions, the reason
    level: float = LEVEL  # the probability of any false finding; half for `chance_limits`, half for `confidence_gaps`

    @cached_property
    def runs(self) -> dict[str, RunPredictions]:
        """The predictions of each run by its name, in the order of the cells."""
        return {name: run for cell in self.cells.values() for name, run in cell.runs.items()}

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
        cells = self.cells.values()
        return self._images_of_one_cell([cell.wrong for cell in cells], [cell.correct for cell in cells])

    @cached_property
    def right_in_one_cell(self) -> dict[str, Indices]:
        """For each cell, the images that only this cell gets right, the highest confidence first."""
        cells = self.cells.values()
        return self._images_of_one_cell([cell.correct for cell in cells], [cell.wrong for cell in cells])

    def _images_of_one_cell(self, marked: Sequence[Bools], opposite: Sequence[Bools]) -> dict[str, Indices]:
        images_by_cell = {}
        images = images_of_one_cell(np.array(marked), np.array(opposite))
        for (name, cell), indices in zip(self.cells.items(), images, strict=True):
            split_votes = 2 * cell.votes[indices] <= len(cell.runs)  # most runs are wrong, but disagree
            images_by_cell[name] = indices[np.lexsort((indices, -cell.confidence[indices], split_votes))]
        return images_by_cell

    @cached_property
    def seed_table(self) -> SeedTable:
        """The errors of all runs by seed and cell; needs at least one run."""
        return seed_table(self.cells, len(self.source["classes"]))

    @cached_property
    def one_cell_counts(self) -> dict[str, list[float]]:
        """For each cell, the images that, among runs of one seed, only this cell gets wrong, and only it gets right."""
        return dict(zip(self.cells, self.seed_table.means()[:, :2].tolist(), strict=True)) if self.cells else {}

    @cached_property
    def disagreement(self) -> Floats:
        """See `SeedTable.disagreement`; empty (0, 0) without cells or with too many."""
        return self.seed_table.disagreement() if self.cells else np.empty((0, 0))

    @cached_property
    def chance_limits(self) -> Mapping[str, float] | None:
        """The largest differences between cells that seeds explain (`SeedTable.largest_values`); None if unknown."""
        if len(self.cells) < 2:
            return None
        return chance_limits(self.seed_table.largest_values, self.seed_table.has_run, self.level / 2)

    @cached_property
    def confusion_differences(self) -> tuple[ConfusionDifference, ...]:
        """For each confusion of two classes, the cells that make it most and least often, largest difference first."""
        if len(self.cells) < 2:
            return ()
        return confusion_differences(list(self.cells), self.seed_table.class_pairs, self.seed_table.means()[:, 2:])

    @cached_property
    def confidence_gaps(self) -> dict[str, ConfidenceGap]:
        """The confidence gap of each cell, by the cell's name; the intervals hold for all cells together."""
        level = self.level / 2 / max(len(self.cells), 1)
        runs_by_cell = {name: cell.runs.values() for name, cell in self.cells.items()}
        return {name: confidence_gap([run.calibration for run in runs], level) for name, runs in runs_by_cell.items()}

    @cached_property
    def joint_error_share(self) -> float:
        """The share of the images that the mean probabilities of all runs misclassify, 0 to 1; needs a run."""
        return float((self.probabilities.argmax(axis=1) != self.labels).mean())

    @cached_property
    def suspects(self) -> tuple[Suspect, ...]:
        """The test images with suspected label errors, the most suspicious first.

        Empty for a single run, and if `joint_error_share` is above `MOST_ERRORS`.
        """
        if len(self.runs) < 2 or self.joint_error_share > MOST_ERRORS:
            return ()
        return find_suspects(list(self.runs.values()), self.probabilities)

    def test_images(self) -> Bytes:
        """The test images (N, C, H, W); raises BadInput if they are missing or have changed since the runs."""
        from src.data.sources import load

        images = load(self.data)
        if images.source.digest != self.source["digest"]:
            raise BadInput(f"{images.source.place} no longer contains the test images of these runs")
        return images.test_images

    def as_json(self) -> dict[str, Any]:
        """All test errors as a JSON object: shares from 0 to 1, images and classes as their indices."""
        return {
            "dataset": {"name": self.data.name, "digest": self.source["digest"], "test": self.source["test"]},
            "runs": list(self.runs),
            "cells": list(self.cells),
            "wrong by all": self.wrong_in_all_runs.tolist(),
            "wrong by one cell alone": {name: images.tolist() for name, images in self.wrong_in_one_cell.items()},
            "right by one cell alone": {name: images.tolist() for name, images in self.right_in_one_cell.items()},
            "wrong and right alone per seed": self.one_cell_counts,
            "disagreement": [
                [None if np.isnan(share) else share for share in row] for row in self.disagreement.tolist()
            ],
            "chance explains": self.chance_limits,
            "confusion differences": [asdict(difference) for difference in self.confusion_differences],
            "suspected label errors": [asdict(suspect) for suspect in self.suspects],
            "calibration": {
                name: cell.calibration.as_json()
                | {"confidence gap": asdict(self.confidence_gaps[name])}
                | {"runs": {run: predictions.calibration.ece for run, predictions in cell.runs.items()}}
                for name, cell in self.cells.items()
            },
            "left out": list(self.unreadable_reasons),
        }


def read_atlases(results: Results, level: float = LEVEL) -> list[Atlas]:
    """Read the predictions of all runs, and return the test errors on each dataset.

    `level` is the probability that any finding on any dataset is false; the datasets share it.
    """
    atlases, datasets = [], results.runs.groupby("dataset", sort=False)
    for digest, runs in datasets:
        first_run, source = runs.iloc[0], results.sources[str(digest)]
        data = option_from_stored("data", results.jobs[first_run["run"]].start["config"]["data"])
        predictions = read_cell_predictions(results, str(digest))
        atlases.append(Atlas(first_run["dataset_name"], source, data, *predictions, level / len(datasets)))
    return atlases


def correct_by_run(atlases: Sequence[Atlas]) -> dict[str, Bools]:
    """Map the name of each run to an array that marks the images it classifies correctly (N,)."""
    return {name: ~run.wrong for atlas in atlases for name, run in atlas.runs.items()}


def images_of_one_cell(marked: Bools, opposite: Bools) -> list[Indices]:
    """For each cell, the images that `marked` marks for this cell and `opposite` marks for all other cells, ascending.

    Pass arrays (cells, N) of wrong and right predictions to find the images that only this cell gets wrong.
    """
    if len(marked) < 2:
        return [np.empty(0, dtype=np.int64) for _ in marked]
    only_this_cell = marked & (opposite.sum(axis=0) == len(marked) - 1)
    return [np.flatnonzero(row).astype(np.int64) for row in only_this_cell]
