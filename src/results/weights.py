"""Measures the size and the sparsity of trained weights, which an L1 penalty changes."""

from pathlib import Path
from typing import Any

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

    Columns: `run`, `cell`, `magnitude` (the sum of magnitudes), `sparsity` (the share with a magnitude below
    `NEAR_ZERO`, 0 to 1), and `zeros` (the share that is exactly zero, 0 to 1).  A run with a missing or damaged file
    has no row; `Results.incomplete` names it.
    """
    rows = []
    for run in runs.to_dict("records"):
        weights = _read_weights(Path(run["folder"]), run["parameters"]).values()
        magnitudes = np.concatenate([[], *(np.abs(weight).ravel() for weight in weights)])
        if len(magnitudes) and np.isfinite(magnitudes.sum()):
            numbers = magnitudes.sum(), (magnitudes < NEAR_ZERO).mean(), (magnitudes == 0).mean()
            rows.append((run["run"], run["cell"], *map(float, numbers)))
    frame: pd.DataFrame = pd.DataFrame(rows, columns=["run", "cell", "magnitude", "sparsity", "zeros"])
    return frame


def zeros_frame(runs: pd.DataFrame) -> pd.DataFrame:
    """Return how many weights of each layer are exactly zero, for the runs with `reg.l1_method=proximal`.

    Columns: `run`, `cell`, `layer` (the weight's name in the network), `weights` and `zeros` (both numbers of weights).
    A run with a missing or damaged file has no row.
    """
    rows = [
        (run["run"], run["cell"], name, weight.size, int((weight == 0).sum()))
        for run in runs.to_dict("records")
        if run.get("reg.l1_method") == "proximal"
        for name, weight in _read_weights(Path(run["folder"]), run["parameters"]).items()
    ]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=["run", "cell", "layer", "weights", "zeros"])
    return frame


def _read_weights(folder: Path, parameters: int) -> dict[str, npt.NDArray[Any]]:
    """A network's weights of two or more dimensions by name, sorted; empty if their file is missing or damaged."""
    path = folder / "weights.safetensors"
    try:
        if weights_fault(path, parameters):
            return {}
        tensors = safetensors.numpy.load(read_stored(path, max_weights_size(parameters)))
    except (OSError, NoAccess, KeyError, ValueError, safetensors.SafetensorError):  # numpy lacks some types
        return {}
    return {name: tensors[name] for name in sorted(tensors) if tensors[name].ndim >= 2}
