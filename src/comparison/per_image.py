"""The error atlas of each dataset: in words for the terminal, as pictures of the images, as JSON."""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
from PIL import Image

from src.bad_input import BadInput
from src.comparison.answers import CellAnswers, read_answers
from src.comparison.atlas import Atlas
from src.comparison.atlas_words import sentences
from src.comparison.galleries import side_by_side
from src.comparison.labels import Suspect
from src.comparison.mistakes import Indices
from src.comparison.records import Cell, Records
from src.config import Data
from src.data.idx import Bytes

ROWS = 20  # at most so many images in a gallery
COLUMNS = 16  # at most so many cells in a gallery


class PerImage(Atlas):
    """The runs that were tested on one dataset, told and drawn."""

    def sentences(self) -> list[str]:
        """What is to be told in words, a line each."""
        return sentences(self)

    def galleries(self) -> dict[str, Image.Image]:
        """Pictures by file name without ending, a row an image and a column a cell.

        `wrong_by_all`, `wrong_by_one` and `right_by_one` (one cell alone; with two cells the one's alone right is the
        other's alone wrong, and only the latter is drawn), `suspected_labels`; those of which there is nothing to show
        say so.

        Raises:
            BadInput: where the test images cannot be found any more, or are no longer those of the runs.
        """
        images = self.test_images()

        def picture(chosen: Indices, heading: str, suspects: tuple[Suspect, ...] = ()) -> Image.Image:
            columns, all_shown = self._columns(chosen), len(self.answers) <= COLUMNS
            heading += "" if all_shown else f" ({COLUMNS} of {len(self.answers):,} cells are shown)"
            return side_by_side(images, columns, chosen, self.source["classes"], heading, suspects)

        drawn = {"wrong_by_all": picture(self.by_all[:ROWS], f"Wrong in all {len(self.runs)} runs")}
        if len(self.answers) > 1:
            drawn["wrong_by_one"] = picture(_in_turn(self.by_cell_alone_wrong), "Wrong in one cell alone")
        if len(self.answers) > 2:
            drawn["right_by_one"] = picture(_in_turn(self.by_cell_alone_right), "Right in one cell alone")
        suspects = self.suspected[:ROWS]
        chosen = np.array([suspect.index for suspect in suspects], dtype=np.int64)
        heading = "Suspected label errors: what most runs see instead, to be judged by eye"
        return drawn | {"suspected_labels": picture(chosen, heading, suspects)}

    def _columns(self, chosen: Indices) -> dict[str, CellAnswers]:
        """As many cells as a picture has room for, those that stand alone on one of its images before others."""
        alone = [self.by_cell_alone_wrong, self.by_cell_alone_right]
        ranked = sorted(self.answers, key=lambda name: not any(np.isin(of[name], chosen).any() for of in alone))
        kept = set(ranked[:COLUMNS])
        return {name: cell for name, cell in self.answers.items() if name in kept}

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


def _in_turn(found: Mapping[str, Indices]) -> Indices:
    """Every cell's first image, then every cell's second, up to a gallery's rows, grouped by cell again."""
    ranked = [
        (rank, position, int(index))
        for position, indices in enumerate(found.values())
        for rank, index in enumerate(indices[:ROWS])
    ]
    shown = sorted(sorted(ranked)[:ROWS], key=lambda item: (item[1], item[0]))
    return np.array([index for _, _, index in shown], dtype=np.int64)


def per_image(records: Records) -> list[PerImage]:
    """The finished runs by the dataset that they were tested on; each run's predictions are read once."""
    groups: dict[str, list[Cell]] = {}
    for cell in records.cells:
        groups.setdefault(cell.source["digest"], []).append(cell)
    return [_group(tuple(cells)) for cells in groups.values()]


def _group(cells: tuple[Cell, ...]) -> PerImage:
    known = {field.name for field in fields(Data)}
    stored = {name: value for name, value in cells[0].jobs[0].start["config"]["data"].items() if name in known}
    return PerImage(cells[0].source, Data(**stored), cells, read_answers(cells))
