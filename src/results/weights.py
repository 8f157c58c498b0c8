"""How large and how sparse a job's trained weights are: what L1 is for."""

from dataclasses import dataclass

import numpy as np
import safetensors
import safetensors.numpy

from src.results.records import Cell
from src.runs.folder import FinishedJob
from src.runs.integrity import most_weights, weights_fault
from src.storage.stored import NoAccess, read_stored

# A subgradient step leaves a weight that L1 has driven to zero within about a learning rate times l1 of it, not at it.
SMALL = 1e-3


@dataclass(frozen=True)
class Weights:
    """Of all weights that penalties fall on, those of two or more dimensions."""

    magnitude: float  # sum of magnitudes
    sparsity: float  # share whose magnitude is below SMALL, 0 to 1


def read_weights(job: FinishedJob) -> Weights | None:
    """Of a job's network after the last epoch; None where the file is missing or harmed, which the records tell."""
    path, parameters = job.folder.path / "weights.safetensors", job.start["parameters"]
    try:
        if weights_fault(path, parameters):
            return None
        tensors = safetensors.numpy.load(read_stored(path, most_weights(parameters)))
    except (OSError, NoAccess, KeyError, ValueError, safetensors.SafetensorError):  # a type that numpy lacks, say
        return None
    sizes = [np.abs(tensor).ravel() for tensor in tensors.values() if tensor.ndim >= 2]
    if not sizes:
        return None
    every = np.concatenate(sizes).astype(np.float64)
    magnitude = float(every.sum())
    return Weights(magnitude, float((every < SMALL).mean())) if np.isfinite(magnitude) else None


def cell_weights(cell: Cell) -> list[Weights]:
    """Those of all its jobs that can be read."""
    return [found for job in cell.jobs if (found := read_weights(job)) is not None]
