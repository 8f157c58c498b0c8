"""Draws galleries of test images that runs misclassify, with the predictions of each cell beside the image."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from src.errors.answers import CellAnswers
from src.errors.atlas import Atlas
from src.errors.labels import Suspect
from src.figures.side_by_side import side_by_side
from src.pictures.tiles import picture_png
from src.runs.predictions import Indices

ROWS = 20  # most images in a gallery
COLUMNS = 16  # most cells in a gallery


class Gallery(NamedTuple):
    """A picture with one row per image and one column per cell, and a description of the images."""

    words: str
    png: bytes


def galleries(atlas: Atlas) -> dict[str, Gallery]:
    """Draw all galleries of a dataset, and return them by file name without ending.

    The names are `wrong_by_all`, `wrong_by_one` (for two or more cells), `right_by_one` (for three or more, because two
    cells would repeat `wrong_by_one`), and `suspected_labels`.  A gallery without images says so.  Raises BadInput if
    the test images are missing or have changed since the runs.
    """
    images = atlas.test_images()

    def draw(words: str, heading: str, chosen: Indices, suspects: tuple[Suspect, ...] = ()) -> Gallery:
        if len(atlas.answers) > COLUMNS:
            heading += f" (shows {COLUMNS} of {len(atlas.answers):,} cells)"
        columns = _columns(atlas, chosen)
        picture = side_by_side(images, columns, chosen, atlas.source["classes"], heading, suspects)
        return Gallery(words, picture_png(picture))

    wrong_by_all = draw("images that every run gets wrong", f"Wrong in all {len(atlas.runs)} runs", atlas.by_all[:ROWS])
    drawn = {"wrong_by_all": wrong_by_all}
    if len(atlas.answers) > 1:
        chosen = _take_turns(atlas.by_cell_alone_wrong)
        drawn["wrong_by_one"] = draw("images that one cell alone gets wrong", "Wrong in one cell alone", chosen)
    if len(atlas.answers) > 2:
        chosen = _take_turns(atlas.by_cell_alone_right)
        drawn["right_by_one"] = draw("images that one cell alone gets right", "Right in one cell alone", chosen)
    suspects = atlas.suspected[:ROWS]
    chosen = np.array([suspect.index for suspect in suspects], dtype=np.int64)
    heading = "Suspected label errors: most runs predict another class.  Check the labels by eye."
    drawn["suspected_labels"] = draw("images with a label that may be wrong", heading, chosen, suspects)
    return drawn


def _columns(atlas: Atlas, chosen: Indices) -> dict[str, CellAnswers]:
    """Choose at most `COLUMNS` cells.  Cells that alone are right or wrong on a chosen image have priority."""
    alone = [atlas.by_cell_alone_wrong, atlas.by_cell_alone_right]
    ranked = sorted(atlas.answers, key=lambda name: not any(np.isin(by_cell[name], chosen).any() for by_cell in alone))
    kept = set(ranked[:COLUMNS])
    return {name: cell for name, cell in atlas.answers.items() if name in kept}


def _take_turns(images: Mapping[str, Indices]) -> Indices:
    """Choose up to `ROWS` images, grouped by cell.  The cells take turns to add their next image."""
    ranked = [(rank, cell) for cell, indices in enumerate(images.values()) for rank in range(len(indices))]
    chosen = sorted((cell, rank) for rank, cell in sorted(ranked)[:ROWS])
    by_cell = list(images.values())
    return np.array([by_cell[cell][rank] for cell, rank in chosen], dtype=np.int64)
