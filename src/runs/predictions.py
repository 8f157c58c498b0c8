"""What a finished network says about every test image, and which of them it gets wrong."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from src.runs.files import write_atomic

Classes = npt.NDArray[np.integer[Any]]
"""A class for each image (N,)."""
Indices = npt.NDArray[np.int64]
"""Positions in the test file (n,)."""


@dataclass(frozen=True)
class Predictions:
    """One row a test image, in the order of the test file: label (N,), predicted (N,), probabilities (N, classes)."""

    label: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.label)

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """Which images are misclassified (N,)."""
        return np.not_equal(self.predicted, self.label)

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """The probability given to the predicted class (N,)."""
        confidence: npt.NDArray[np.float32] = self.probabilities[np.arange(len(self)), self.predicted]
        return confidence


def save_predictions(path: Path, predictions: Predictions) -> None:
    """Write `index`, `label`, `predicted` and `probabilities` as a compressed .npz, atomically."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        index=np.arange(len(predictions)),
        label=predictions.label,
        predicted=predictions.predicted,
        probabilities=predictions.probabilities,
    )
    write_atomic(path, buffer.getvalue())


def load_predictions(path: Path) -> Predictions:
    """Read what `save_predictions` wrote."""
    # Opened here: numpy would leave a harmed file open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return Predictions(stored["label"], stored["predicted"], stored["probabilities"])


def worst_mistakes(predictions: Predictions, count: int) -> Indices:
    """At most `count` misclassified images, the most confident mistake first, equal ones by index."""
    wrong = np.flatnonzero(predictions.wrong)
    order = np.argsort(-predictions.confidence[wrong], kind="stable")
    return wrong[order[:count]].astype(np.int64)


def confusion(label: Classes, predicted: Classes, n_classes: int) -> npt.NDArray[np.int64]:
    """How many images of each class (row) were taken for each class (column): (n_classes, n_classes)."""
    pairs = label.astype(np.int64) * n_classes + predicted
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def per_class(predictions: Predictions, classes: Sequence[str]) -> list[dict[str, Any]]:
    """One row a class: images, errors, accuracy from 0 to 1, and the class it was most often taken for, how often.

    A class without images has no accuracy, one without errors was taken for none: None.
    """
    counts = confusion(predictions.label, predictions.predicted, len(classes))
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
