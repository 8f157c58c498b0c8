"""Measures the size and the sparsity of trained weights, which an L1 penalty changes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import safetensors
import safetensors.numpy

from src.runs.integrity import max_weights_size, weights_fault
from src.storage.stored import NoAccess, read_stored

# Weights below this magnitude count as zero.  L1 moves a weight to about learning rate x l1, not to exactly zero.
NEAR_ZERO = 1e-3


def weight_frame(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the size and sparsity of the weights of each run.  Only weights that penalties apply to count.

    Columns: `run`, `cell`, `magnitude` (the sum of magnitudes), and `sparsity` (the share with a magnitude below
    `NEAR_ZERO`, 0 to 1).  A run with a missing or damaged file has no row; `Results.incomplete` names it.
    """
    rows = []
    for run in runs.to_dict("records"):
        weights = _read_magnitudes(Path(run["folder"]), run["parameters"])
        if weights is not None and np.isfinite(weights.sum()):
            sizes = {"magnitude": float(weights.sum()), "sparsity": float((weights < NEAR_ZERO).mean())}
            rows.append({"run": run["run"], "cell": run["cell"], **sizes})
    frame: pd.DataFrame = pd.DataFrame(rows, columns=["run", "cell", "magnitude", "sparsity"])
    return frame


def _read_magnitudes(folder: Path, parameters: int) -> npt.NDArray[np.float64] | None:
    """The magnitudes of a network's weights of two or more dimensions; None if their file is missing or damaged."""
    path = folder / "weights.safetensors"
    try:
        if weights_fault(path, parameters):
            return None
        tensors = safetensors.numpy.load(read_stored(path, max_weights_size(parameters)))
    except (OSError, NoAccess, KeyError, ValueError, safetensors.SafetensorError):  # numpy lacks some types
        return None
    magnitudes = [np.abs(tensor).ravel() for tensor in tensors.values() if tensor.ndim >= 2]
    return np.concatenate(magnitudes).astype(np.float64) if magnitudes else None
