"""The atlas in pictures: which of its images are shown, and beside them which cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from src.errors.answers import CellAnswers
from src.errors.atlas import Atlas
from src.errors.labels import Suspect
from src.figures.side_by_side import side_by_side
from src.pictures.tiles import picture_png
from src.runs.predictions import Indices

ROWS = 20  # at most so many images in a gallery
COLUMNS = 16  # at most so many cells in a gallery


@dataclass(frozen=True)
class Gallery:
    """A picture with a row an image and a column a cell, and in words what its images have in common."""

    words: str
    picture: Image.Image

    @cached_property
    def png(self) -> bytes:
        """As PNG; written once."""
        return picture_png(self.picture)


def galleries(atlas: Atlas) -> dict[str, Gallery]:
    """All galleries by file name without ending.

    `wrong_by_all`, `wrong_by_one` and `right_by_one` (one cell alone; with two cells the one's alone right is the
    other's alone wrong, and only the latter is drawn), `suspected_labels`; those of which there is nothing to show
    say so.

    Raises:
        BadInput: where the test images cannot be found any more, or are no longer those of the runs.
    """
    images = atlas.test_images()

    def picture(chosen: Indices, heading: str, suspects: tuple[Suspect, ...] = ()) -> Image.Image:
        columns, all_shown = _columns(atlas, chosen), len(atlas.answers) <= COLUMNS
        heading += "" if all_shown else f" ({COLUMNS} of {len(atlas.answers):,} cells are shown)"
        return side_by_side(images, columns, chosen, atlas.source["classes"], heading, suspects)

    everyone = picture(atlas.by_all[:ROWS], f"Wrong in all {len(atlas.runs)} runs")
    drawn = {"wrong_by_all": Gallery("images that every run gets wrong", everyone)}
    if len(atlas.answers) > 1:
        one = picture(_in_turn(atlas.by_cell_alone_wrong), "Wrong in one cell alone")
        drawn["wrong_by_one"] = Gallery("images that one cell alone gets wrong", one)
    if len(atlas.answers) > 2:
        one = picture(_in_turn(atlas.by_cell_alone_right), "Right in one cell alone")
        drawn["right_by_one"] = Gallery("images that one cell alone gets right", one)
    suspects = atlas.suspected[:ROWS]
    chosen = np.array([suspect.index for suspect in suspects], dtype=np.int64)
    heading = "Suspected label errors: what most runs see instead, to be judged by eye"
    labels = Gallery("images whose label may be wrong", picture(chosen, heading, suspects))
    return drawn | {"suspected_labels": labels}


def _columns(atlas: Atlas, chosen: Indices) -> dict[str, CellAnswers]:
    """As many cells as a picture has room for, those that stand alone on one of its images before others."""
    alone = [atlas.by_cell_alone_wrong, atlas.by_cell_alone_right]
    ranked = sorted(atlas.answers, key=lambda name: not any(np.isin(of[name], chosen).any() for of in alone))
    kept = set(ranked[:COLUMNS])
    return {name: cell for name, cell in atlas.answers.items() if name in kept}


def _in_turn(found: Mapping[str, Indices]) -> Indices:
    """Every cell's first image, then every cell's second, up to a gallery's rows, grouped by cell again."""
    ranked = [
        (rank, position, int(index))
        for position, indices in enumerate(found.values())
        for rank, index in enumerate(indices[:ROWS])
    ]
    shown = sorted(sorted(ranked)[:ROWS], key=lambda item: (item[1], item[0]))
    return np.array([index for _, _, index in shown], dtype=np.int64)
