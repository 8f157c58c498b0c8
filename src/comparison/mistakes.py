"""Which test images are misclassified, in one run and across runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from src.runs.predictions import Predictions

Indices = npt.NDArray[np.int64]
"""Positions in the test file (n,)."""


def worst_mistakes(predictions: Predictions, count: int) -> Indices:
    """At most `count` misclassified images, the most confident mistake first, equal ones by index."""
    wrong = np.flatnonzero(predictions.wrong)
    order = np.argsort(-predictions.confidence[wrong], kind="stable")
    return wrong[order[:count]].astype(np.int64)


def confusion(predictions: Predictions, n_classes: int) -> npt.NDArray[np.int64]:
    """How many images of each class (row) were taken for each class (column): (n_classes, n_classes)."""
    pairs = predictions.label.astype(np.int64) * n_classes + predictions.predicted
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def per_class(predictions: Predictions, classes: Sequence[str]) -> list[dict[str, Any]]:
    """One row a class: images, errors, accuracy from 0 to 1, and the class it was most often taken for, how often.

    A class without images has no accuracy, one without errors was taken for none: None.
    """
    counts = confusion(predictions, len(classes))
    rows: list[dict[str, Any]] = []
    for position, name in enumerate(classes):
        images, hits = int(counts[position].sum()), int(counts[position, position])
        others = counts[position].copy()
        others[position] = 0
        times = int(others.max())
        rows.append(
            {
                "class": name,
                "images": images,
                "errors": images - hits,
                "accuracy": hits / images if images else None,
                "mostly taken for": classes[int(others.argmax())] if times else None,
                "times": times,
            }
        )
    return rows


def wrong_by_all(runs: Mapping[str, Predictions]) -> Indices:
    """The images that every run gets wrong, in ascending order.

    Raises:
        ValueError: where the runs were not tested on the same images.
    """
    return np.flatnonzero(_wrong(runs).all(axis=0)).astype(np.int64)


def wrong_by_one_only(runs: Mapping[str, Predictions]) -> dict[str, Indices]:
    """For each run, the images that it gets wrong and all others get right, in ascending order.

    Raises:
        ValueError: where the runs were not tested on the same images.
    """
    wrong = _wrong(runs)
    alone = wrong & (wrong.sum(axis=0) == 1)
    return {name: np.flatnonzero(row).astype(np.int64) for name, row in zip(runs, alone, strict=True)}


def _wrong(runs: Mapping[str, Predictions]) -> npt.NDArray[np.bool_]:
    """Which run misclassifies which image (runs, N)."""
    every = list(runs.values())
    if not every:
        raise ValueError("no runs to compare")
    if any(not np.array_equal(one.label, every[0].label) for one in every):
        raise ValueError("the runs were not tested on the same images")
    return np.stack([one.wrong for one in every])
