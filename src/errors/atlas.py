"""Which test images which runs and cells get wrong, and what that says of the cells and of the labels."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from src.bad_input import BadInput
from src.config import stored_option
from src.data.idx import Bytes
from src.errors.answers import Answers, Bools, CellAnswers, read_answers
from src.errors.calibration import Calibration
from src.errors.labels import Suspect, suspected_labels
from src.errors.mistakes import (
    ConfusionDifference,
    by_one_alone,
    confusion_differences,
    disagreement,
)
from src.options import Data
from src.results.records import Cell, Records, by_dataset
from src.runs.predictions import Indices, confusion

MATRIX = 100  # at most so many cells for the JSON to hold how often each two of them disagree


@dataclass(frozen=True)
class Atlas:
    """The runs that were tested on one dataset.  A cell does with an image what more than half of its runs do."""

    source: Mapping[str, Any]
    data: Data
    cells: tuple[Cell, ...]
    answers: Mapping[str, CellAnswers]  # by the cell's label; a cell without a readable run has none
    probabilities: npt.NDArray[np.float64]  # mean over all runs (N, classes)
    unreadable: tuple[str, ...]  # runs whose predictions are missing or harmed, and why

    @property
    def dataset(self) -> str:
        """The dataset's name and the first digits of its digest, such as `mnist 1a2b3c4d`."""
        return self.cells[0].dataset

    @cached_property
    def runs(self) -> dict[str, Answers]:
        """Every run's answers by its name, in the order of the cells."""
        return {name: run for cell in self.answers.values() for name, run in cell.runs.items()}

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """The true classes of the test images (N,)."""
        return next(iter(self.runs.values())).label

    @cached_property
    def by_all(self) -> Indices:
        """The images that every run gets wrong, the most confidently wrong first."""
        if not self.runs:
            return np.empty(0, dtype=np.int64)
        found = np.flatnonzero(np.stack([run.wrong for run in self.runs.values()]).all(axis=0))
        sure = np.mean([run.confidence[found] for run in self.runs.values()], axis=0)
        return found[np.argsort(-sure, kind="stable")].astype(np.int64)

    @cached_property
    def by_cell_alone_wrong(self) -> dict[str, Indices]:
        """For each cell the images that it alone gets wrong, the most confident answer first, scattered ones last."""
        return self._alone(self._wrong, self._right)

    @cached_property
    def by_cell_alone_right(self) -> dict[str, Indices]:
        """For each cell the images that it alone gets right, the most confident answer first."""
        return self._alone(self._right, self._wrong)

    @cached_property
    def _wrong(self) -> Bools:
        """Which cell gets which image wrong (cells, N)."""
        return np.array([cell.wrong for cell in self.answers.values()])

    @cached_property
    def _right(self) -> Bools:
        """Which cell gets which image right (cells, N)."""
        return np.array([cell.right for cell in self.answers.values()])

    def _alone(self, chosen: Bools, opposite: Bools) -> dict[str, Indices]:
        found = {}
        for (name, cell), own in zip(self.answers.items(), by_one_alone(chosen, opposite), strict=True):
            scattered = 2 * cell.votes[own] <= len(cell.runs)  # wrong in most seeds, but not in the same way
            found[name] = own[np.lexsort((own, -cell.confidence[own], scattered))]
        return found

    @cached_property
    def disagreement(self) -> npt.NDArray[np.float64]:
        """On which share of the images runs of two cells differ (cells, cells), in the order of `answers`.

        On the diagonal two seeds of that cell; NaN where it has one only.
        """
        predicted = [[run.predicted for run in cell.runs.values()] for cell in self.answers.values()]
        return disagreement(predicted, len(self.source["classes"]))

    @cached_property
    def confusions(self) -> dict[str, npt.NDArray[np.float64]]:
        """How often each class (row) is taken for each class (column), by cell, mean over its runs."""
        n = len(self.source["classes"])
        return {
            name: np.mean([confusion(run.label, run.predicted, n) for run in cell.runs.values()], axis=0)
            for name, cell in self.answers.items()
        }

    @cached_property
    def confusion_differences(self) -> tuple[ConfusionDifference, ...]:
        """The confusions that some cells make more often than others, the largest difference first."""
        if len(self.answers) < 2:
            return ()
        return confusion_differences(list(self.answers), np.stack(list(self.confusions.values())))

    @cached_property
    def suspected(self) -> tuple[Suspect, ...]:
        """Suspected label errors, the most suspicious first; one run alone suspects nothing."""
        if len(self.runs) < 2:
            return ()
        return suspected_labels(list(self.runs.values()), self.probabilities)

    @property
    def calibration(self) -> dict[str, Calibration]:
        """Each cell's, over its runs; a run's own is in its answers."""
        return {name: cell.calibration for name, cell in self.answers.items()}

    def test_images(self) -> Bytes:
        """The images themselves (N, C, H, W).

        Raises:
            BadInput: where they cannot be found any more, or are no longer those of the runs.
        """
        from src.data.sources import load

        images = load(self.data)
        if images.source.digest != self.source["digest"]:
            raise BadInput(f"{images.source.place} no longer holds the images that these runs were tested on")
        return images.test_images

    def as_json(self) -> dict[str, Any]:
        """Everything that the sentences tell, complete; shares from 0 to 1, classes by position."""
        shares = self.disagreement if len(self.runs) > 1 and len(self.answers) <= MATRIX else None
        return {
            "dataset": {"name": self.data.name, "digest": self.source["digest"], "test": self.source["test"]},
            "runs": list(self.runs),
            "cells": list(self.answers),
            "wrong by all": self.by_all.tolist(),
            "wrong by one cell alone": {name: found.tolist() for name, found in self.by_cell_alone_wrong.items()},
            "right by one cell alone": {name: found.tolist() for name, found in self.by_cell_alone_right.items()},
            "disagreement": None if shares is None else [[_number(share) for share in row] for row in shares],
            "confusion differences": [asdict(found) for found in self.confusion_differences],
            "suspected label errors": [asdict(suspect) for suspect in self.suspected],
            "calibration": {
                name: cell.calibration.as_json()
                | {"runs": {run: one.calibration.ece for run, one in cell.runs.items()}}
                for name, cell in self.answers.items()
            },
            "left out": list(self.unreadable),
        }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def read_atlases(records: Records) -> list[Atlas]:
    """The finished runs by the dataset that they were tested on; each run's predictions are read once."""
    return [_read(cells) for cells in by_dataset(records.cells)]


def _read(cells: tuple[Cell, ...]) -> Atlas:
    data = stored_option("data", cells[0].jobs[0].start["config"]["data"])
    return Atlas(cells[0].source, data, cells, *read_answers(cells))


def right_by_run(atlases: Sequence[Atlas]) -> dict[str, Bools]:
    """Which images each run gets right (N,), by its name."""
    return {name: ~run.wrong for atlas in atlases for name, run in atlas.runs.items()}
