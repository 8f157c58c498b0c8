"""Draws the galleries: images that runs get wrong, with the answers of the cells beside them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from src.errors.answers import CellAnswers
from src.errors.atlas import Atlas
from src.errors.labels import Suspect
from src.figures.side_by_side import side_by_side
from src.pictures.tiles import picture_png
from src.runs.predictions import Indices

ROWS = 20  # images in a gallery
COLUMNS = 16  # cells in a gallery


class Gallery(NamedTuple):
    """A picture with one row per image and one column per cell, and a description of its images."""

    words: str
    png: bytes


def galleries(atlas: Atlas) -> dict[str, Gallery]:
    """All galleries by file name without ending.

    `wrong_by_all`; `wrong_by_one` for several cells; `right_by_one` for more than two, since with two cells it shows
    the same images; `suspected_labels`.  A gallery without images says so.  Raises BadInput if the test images are
    missing or have changed since the runs.
    """
    images = atlas.test_images()

    def draw(words: str, heading: str, chosen: Indices, suspects: tuple[Suspect, ...] = ()) -> Gallery:
        if len(atlas.answers) > COLUMNS:
            heading += f" ({COLUMNS} of {len(atlas.answers):,} cells are shown)"
        columns = _columns(atlas, chosen)
        picture = side_by_side(images, columns, chosen, atlas.source["classes"], heading, suspects)
        return Gallery(words, picture_png(picture))

    common = draw("images that every run gets wrong", f"Wrong in all {len(atlas.runs)} runs", atlas.by_all[:ROWS])
    drawn = {"wrong_by_all": common}
    if len(atlas.answers) > 1:
        chosen = _take_turns(atlas.by_cell_alone_wrong)
        drawn["wrong_by_one"] = draw("images that one cell alone gets wrong", "Wrong in one cell alone", chosen)
    if len(atlas.answers) > 2:
        chosen = _take_turns(atlas.by_cell_alone_right)
        drawn["right_by_one"] = draw("images that one cell alone gets right", "Right in one cell alone", chosen)
    suspects = atlas.suspected[:ROWS]
    chosen = np.array([suspect.index for suspect in suspects], dtype=np.int64)
    heading = "Suspected label errors: most runs agree on another class; a person must judge"
    drawn["suspected_labels"] = draw("images with a label that may be wrong", heading, chosen, suspects)
    return drawn


def _columns(atlas: Atlas, chosen: Indices) -> dict[str, CellAnswers]:
    """The cells to show, `COLUMNS` at most; cells that are alone right or wrong on a chosen image come first."""
    alone = [atlas.by_cell_alone_wrong, atlas.by_cell_alone_right]
    ranked = sorted(atlas.answers, key=lambda name: not any(np.isin(of[name], chosen).any() for of in alone))
    kept = set(ranked[:COLUMNS])
    return {name: cell for name, cell in atlas.answers.items() if name in kept}


def _take_turns(images: Mapping[str, Indices]) -> Indices:
    """Up to `ROWS` images, grouped by cell: the cells take turns to add their next image."""
    ranked = [(rank, cell) for cell, indices in enumerate(images.values()) for rank in range(len(indices))]
    chosen = sorted((cell, rank) for rank, cell in sorted(ranked)[:ROWS])
    of_cells = list(images.values())
    return np.array([of_cells[cell][rank] for cell, rank in chosen], dtype=np.int64)
