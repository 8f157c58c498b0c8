"""The size and the sparsity of the trained weights, which L1 changes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors
import safetensors.numpy

from src.results.cells import Cell
from src.runs.folder import FinishedJob
from src.runs.integrity import most_weights, weights_fault
from src.runs.stored import NoAccess, read_stored

# A subgradient step leaves a weight that L1 has driven to zero within about a learning rate times l1 of it, not at it.
SMALL = 1e-3


@dataclass(frozen=True)
class Weights:
    """Of all weights that penalties fall on, those of two or more dimensions."""

    magnitude: float  # sum of magnitudes
    sparsity: float  # share whose magnitude is below SMALL, 0 to 1


def weight_frame(runs: pd.DataFrame) -> pd.DataFrame:
    """The `magnitude` and `sparsity` of each run's weights, beside its `run` and `cell`.

    A run whose file is missing or harmed has no row; `Results.incomplete` names it.
    """
    rows = [
        {"run": run, "cell": cell, "magnitude": found.magnitude, "sparsity": found.sparsity}
        for run, cell, folder, parameters in zip(
            *(runs[name] for name in ("run", "cell", "folder", "parameters")), strict=True
        )
        if (found := weights_of(Path(folder), parameters)) is not None
    ]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=["run", "cell", "magnitude", "sparsity"])
    return frame


def weights_of(folder: Path, parameters: int) -> Weights | None:
    """The weights of a job's network after the last epoch; None where the file is missing or harmed.

    The weights that count are those that penalties fall on: the tensors of two or more dimensions.
    """
    path = folder / "weights.safetensors"
    try:
        if weights_fault(path, parameters):
            return None
        tensors = safetensors.numpy.load(read_stored(path, most_weights(parameters)))
    except (OSError, NoAccess, KeyError, ValueError, safetensors.SafetensorError):  # such as a type that numpy lacks
        return None
    sizes = [np.abs(tensor).ravel() for tensor in tensors.values() if tensor.ndim >= 2]
    if not sizes:
        return None
    every = np.concatenate(sizes).astype(np.float64)
    magnitude = float(every.sum())
    return Weights(magnitude, float((every < SMALL).mean())) if np.isfinite(magnitude) else None


def read_weights(job: FinishedJob) -> Weights | None:
    """The earlier form, for the rooms that do not read frames yet."""
    return weights_of(job.folder.path, job.start["parameters"])


def cell_weights(cell: Cell) -> list[Weights]:
    """The earlier form, for the rooms that do not read frames yet."""
    return [found for job in cell.jobs if (found := read_weights(job)) is not None]
