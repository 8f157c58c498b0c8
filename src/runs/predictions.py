"""What a finished network says about every test image."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from src.runs.files import write_atomic


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
