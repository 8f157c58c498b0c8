"""Image by image: what every run gets wrong and what only one does, for runs tested on the same images."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from PIL import Image

from src.bad_input import BadInput
from src.comparison.galleries import side_by_side
from src.comparison.mistakes import Indices, wrong_by_all, wrong_by_one_only
from src.comparison.records import Cell, Records
from src.config import Data
from src.data.idx import Bytes
from src.runs.folder import FinishedJob
from src.runs.predictions import Predictions, load_predictions

ROWS = 20  # at most so many images in a gallery
INDICES = 8  # at most so many indices in a sentence


@dataclass(frozen=True)
class PerImage:
    """The runs that were tested on one dataset."""

    source: Mapping[str, Any]
    data: Data
    cells: tuple[Cell, ...]
    runs: Mapping[str, Predictions]  # by the run's name, in the order of the cells
    unreadable: tuple[str, ...]  # runs whose predictions cannot be read, and why

    @cached_property
    def by_all(self) -> Indices:
        """The images that every run gets wrong, the most confidently wrong first."""
        found = wrong_by_all(self.runs)
        sure = np.mean([predictions.confidence[found] for predictions in self.runs.values()], axis=0)
        return found[np.argsort(-sure, kind="stable")]

    @cached_property
    def by_one(self) -> dict[str, Indices]:
        """For each run the images that it alone gets wrong, the most confident mistake first."""
        return {
            name: found[np.argsort(-self.runs[name].confidence[found], kind="stable")]
            for name, found in wrong_by_one_only(self.runs).items()
        }

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """The true classes of the test images (N,)."""
        return next(iter(self.runs.values())).label

    def sentences(self) -> list[str]:
        """What is to be told in words, a line each."""
        lines = [f"cannot be read and left out: {problem}" for problem in self.unreadable]
        if not self.runs:
            return lines
        total = f"{len(self.labels):,} test images"
        if len(self.runs) == 1:
            name, found = next(iter(self.by_one.items()))
            return [*lines, f"{name} gets {len(found):,} of the {total} wrong: {self._named(found)}"]
        lines.append(
            f"All {len(self.runs)} runs get {len(self.by_all):,} of the {total} wrong: {self._named(self.by_all)}"
        )
        lines.append("Images that only one run gets wrong:")
        width = max(len(cell.label) for cell in self.cells)
        for cell in self.cells:
            names = {f"s{job.leaves['seed']}": cell.name(job) for job in cell.jobs if cell.name(job) in self.runs}
            counts = ", ".join(f"{seed}: {len(self.by_one[name])}" for seed, name in names.items())
            lines.append(f"  {cell.label:<{width}}  {counts}")
        return lines

    def _named(self, found: Indices) -> str:
        """The first images by index and true class."""
        if len(found) == 0:
            return "none"
        classes = self.source["classes"]
        words = [f"#{index} ({classes[self.labels[index]]})" for index in found[:INDICES]]
        return ", ".join(words) + (", ..." if len(found) > INDICES else "")

    def galleries(self) -> dict[str, Image.Image]:
        """Pictures by file name without ending: the images all get wrong, and each run's own mistakes in turn.

        Raises:
            BadInput: where the test images cannot be found any more, or are no longer those of the runs.
        """
        images = self._test_images()
        classes = self.source["classes"]
        return {
            "wrong_by_all": side_by_side(images, self.runs, self.by_all[:ROWS], classes),
            "wrong_by_one": side_by_side(images, self.runs, self._in_turn(), classes),
        }

    def _in_turn(self) -> Indices:
        """Every run's worst own mistake, then every run's second, up to a gallery's rows, grouped by run again."""
        share: dict[str, list[int]] = {name: [] for name in self.by_one}
        ranked = [
            (rank, name, int(index)) for name, found in self.by_one.items() for rank, index in enumerate(found[:ROWS])
        ]
        for _, name, index in sorted(ranked, key=lambda item: item[0])[:ROWS]:
            share[name].append(index)
        return np.array([index for found in share.values() for index in found], dtype=np.int64)

    def _test_images(self) -> Bytes:
        from src.data.sources import load

        images = load(self.data)
        if images.source.digest != self.source["digest"]:
            raise BadInput(f"{images.source.place} no longer holds the images that these runs were tested on")
        return images.test_images

    def as_json(self) -> dict[str, Any]:
        """Everything that the sentences tell, complete."""
        return {
            "dataset": {"name": self.data.name, "digest": self.source["digest"], "test": self.source["test"]},
            "runs": list(self.runs),
            "wrong by all": self.by_all.tolist() if self.runs else [],
            "wrong by one only": {name: found.tolist() for name, found in self.by_one.items()} if self.runs else {},
        }


def per_image(records: Records) -> list[PerImage]:
    """The finished runs by the dataset that they were tested on."""
    groups: dict[str, list[Cell]] = {}
    for cell in records.cells:
        groups.setdefault(cell.source["digest"], []).append(cell)
    return [_group(tuple(cells)) for cells in groups.values()]


def _group(cells: tuple[Cell, ...]) -> PerImage:
    runs, unreadable = {}, []
    for cell in cells:
        for job in cell.jobs:
            try:
                runs[cell.name(job)] = _predictions(job)
            except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
                unreadable.append(f"{job.folder.path / 'predictions.npz'}: {type(error).__name__}")
    known = {field.name for field in fields(Data)}
    stored = {name: value for name, value in cells[0].jobs[0].start["config"]["data"].items() if name in known}
    return PerImage(cells[0].source, Data(**stored), cells, runs, tuple(unreadable))


def _predictions(job: FinishedJob) -> Predictions:
    predictions = load_predictions(job.folder.path / "predictions.npz")
    if len(predictions) != job.start["source"]["test"]:
        raise ValueError("not as many predictions as test images")
    return predictions
