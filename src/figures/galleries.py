"""Draws galleries of test images that runs misclassify, with the predictions of each cell beside the image."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from src.errors.answers import CellPredictions
from src.errors.atlas import Atlas
from src.errors.labels import MOST_ERRORS, Suspect
from src.figures.side_by_side import draw_predictions_side_by_side
from src.pictures.tiles import picture_png
from src.runs.predictions import Indices

MAX_IMAGES = 20  # rows of a gallery
MAX_CELLS = 16  # columns of a gallery


class Gallery(NamedTuple):
    """A picture with one row per image and one column per cell, and a description of the images."""

    description: str
    png: bytes


def draw_galleries(atlas: Atlas) -> dict[str, Gallery]:
    """Draw all galleries of a dataset, and return them by their file names without extension.

    The names are `wrong_by_all`, `wrong_by_one` (two or more cells), `right_by_one` (three or more cells, because with
    two it would show the same images as `wrong_by_one`), and `suspected_labels` (unless the runs are too weak for it).
    A gallery without images says so.  Raises BadInput if the test images are missing or have changed since the runs.
    """
    images = atlas.test_images()

    def gallery(description: str, heading: str, indices: Indices, suspects: tuple[Suspect, ...] = ()) -> Gallery:
        if len(atlas.cells) > MAX_CELLS:
            heading += f" (shows {MAX_CELLS} of {len(atlas.cells):,} cells)"
        columns = _choose_cells(atlas, indices)
        picture = draw_predictions_side_by_side(images, columns, indices, atlas.source["classes"], heading, suspects)
        return Gallery(description, picture_png(picture))

    heading, indices = f"Wrong in all {len(atlas.runs)} runs", atlas.wrong_in_all_runs[:MAX_IMAGES]
    pictures = {"wrong_by_all": gallery("images that every run gets wrong", heading, indices)}
    if len(atlas.cells) > 1:
        indices = _choose_images_round_robin(atlas.wrong_in_one_cell)
        pictures["wrong_by_one"] = gallery("images that only one cell gets wrong", "Wrong in only one cell", indices)
    if len(atlas.cells) > 2:
        indices = _choose_images_round_robin(atlas.right_in_one_cell)
        pictures["right_by_one"] = gallery("images that only one cell gets right", "Right in only one cell", indices)
    if atlas.joint_error_share <= MOST_ERRORS:
        suspects = atlas.suspects[:MAX_IMAGES]
        indices = np.array([suspect.index for suspect in suspects], dtype=np.int64)
        heading = "Suspected label errors: most runs predict another class.  Check the labels by eye."
        pictures["suspected_labels"] = gallery("images with a label that may be wrong", heading, indices, suspects)
    return pictures


def _choose_cells(atlas: Atlas, indices: Indices) -> dict[str, CellPredictions]:
    """Choose at most `MAX_CELLS` cells.  Cells that alone are right or wrong on one of the images have priority."""
    lists = [atlas.wrong_in_one_cell, atlas.right_in_one_cell]
    names = sorted(atlas.cells, key=lambda name: not any(np.isin(by_cell[name], indices).any() for by_cell in lists))
    kept_names = set(names[:MAX_CELLS])
    return {name: cell for name, cell in atlas.cells.items() if name in kept_names}


def _choose_images_round_robin(images_by_cell: Mapping[str, Indices]) -> Indices:
    """Choose up to `MAX_IMAGES` images, grouped by cell.  The cells take turns to add their next image."""
    ranks = [(rank, cell) for cell, indices in enumerate(images_by_cell.values()) for rank in range(len(indices))]
    chosen_ranks = sorted((cell, rank) for rank, cell in sorted(ranks)[:MAX_IMAGES])
    by_cell = list(images_by_cell.values())
    return np.array([by_cell[cell][rank] for cell, rank in chosen_ranks], dtype=np.int64)
