"""Draws the galleries: images that runs get wrong, with the answers of the cells beside them."""

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

ROWS = 20  # images in a gallery
COLUMNS = 16  # cells in a gallery


@dataclass(frozen=True)
class Gallery:
    """A picture with one row per image and one column per cell, and a description of its images."""

    words: str
    picture: Image.Image

    @cached_property
    def png(self) -> bytes:
        """The picture as PNG."""
        return picture_png(self.picture)


def galleries(atlas: Atlas) -> dict[str, Gallery]:
    """All galleries by file name without ending.

    `wrong_by_all`; `wrong_by_one` for several cells; `right_by_one` for more than two, since with two cells it shows
    the same images; `suspected_labels`.  A gallery without images says so.

    Raises:
        BadInput: if the test images are missing or have changed since the runs.
    """
    images = atlas.test_images()

    def picture(chosen: Indices, heading: str, suspects: tuple[Suspect, ...] = ()) -> Image.Image:
        if len(atlas.answers) > COLUMNS:
            heading += f" ({COLUMNS} of {len(atlas.answers):,} cells are shown)"
        return side_by_side(images, _columns(atlas, chosen), chosen, atlas.source["classes"], heading, suspects)

    everyone = picture(atlas.by_all[:ROWS], f"Wrong in all {len(atlas.runs)} runs")
    found = {"wrong_by_all": Gallery("images that every run gets wrong", everyone)}
    if len(atlas.answers) > 1:
        one = picture(_take_turns(atlas.by_cell_alone_wrong), "Wrong in one cell alone")
        found["wrong_by_one"] = Gallery("images that one cell alone gets wrong", one)
    if len(atlas.answers) > 2:
        one = picture(_take_turns(atlas.by_cell_alone_right), "Right in one cell alone")
        found["right_by_one"] = Gallery("images that one cell alone gets right", one)
    suspects = atlas.suspected[:ROWS]
    chosen = np.array([suspect.index for suspect in suspects], dtype=np.int64)
    heading = "Suspected label errors: most runs agree on another class; a person must judge"
    found["suspected_labels"] = Gallery("images whose label may be wrong", picture(chosen, heading, suspects))
    return found


def _columns(atlas: Atlas, chosen: Indices) -> dict[str, CellAnswers]:
    """The cells to show, `COLUMNS` at most; cells that are alone right or wrong on a chosen image come first."""
    alone = [atlas.by_cell_alone_wrong, atlas.by_cell_alone_right]
    ranked = sorted(atlas.answers, key=lambda name: not any(np.isin(of[name], chosen).any() for of in alone))
    kept = set(ranked[:COLUMNS])
    return {name: cell for name, cell in atlas.answers.items() if name in kept}


def _take_turns(found: Mapping[str, Indices]) -> Indices:
    """Up to `ROWS` images, grouped by cell: the cells take turns to add their next image."""
    ranked = [
        (rank, position, int(index))
        for position, indices in enumerate(found.values())
        for rank, index in enumerate(indices[:ROWS])
    ]
    shown = sorted(sorted(ranked)[:ROWS], key=lambda item: (item[1], item[0]))
    return np.array([index for _, _, index in shown], dtype=np.int64)
