"""Loads all finished runs as two pandas frames, for notebooks and scripts."""

import warnings
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from src.bad_input import BadInput
from src.results.results import load_results
from src.runs.manifests import choose_sweeps
from src.wording import counted, joined


class Runs(NamedTuple):
    """Finished runs as two frames; `load_runs` documents their columns."""

    runs: pd.DataFrame  # one row per run
    epochs: pd.DataFrame  # one row per epoch of a run


def load_runs(multirun: str | PathLike[str] = "multirun", sweep: str | Sequence[str] | None = None) -> Runs:
    """Return the finished runs of a `multirun` folder as two pandas frames: one row per run, and one row per epoch.

        runs, epochs = load_runs("multirun")
        runs.groupby("norm.name")["test/accuracy"].agg(["mean", "std", "count"])
        epochs.pivot_table("val/accuracy", "epoch", "cell").plot()

    A cell is all runs that differ by their seed only; they are adjacent, with ascending seeds.

    | column of `runs` | content |
    | --- | --- |
    | `run`, `cell`, `seed` | the run's unique name, such as `gn l1=1e-05 s0`; its name without the seed; its seed |
    | `norm.name`, `reg.l1`, ... | every configuration key that can change the results of a run |
    | `test/accuracy`, `test/loss`, `test/errors` | measured on the test images after the last epoch |
    | `val/accuracy`, `val/loss` | measured on the validation images after the last epoch |
    | `weights/zeros` | the share of penalised weights that are exactly zero; only for runs with proximal L1 |
    | `test/accuracy_ema`, `val/loss_ema`, ... | the same four with running averages; only with `norm.stats=precise` |
    | `best/val_accuracy` | the highest validation accuracy of all epochs |
    | `seconds/train`, `seconds/total` | the time of training alone, and of the whole job |
    | `parameters` | the number of trained parameters |
    | `dataset`, `dataset_name` | the SHA-256 of the images and labels, and a name such as `mnist 1a2b3c4d` |
    | `job`, `cell_key` | SHA-256 keys of the run's configuration, with and without the seed |
    | `folder` | the run's folder, with its predictions, weights and log |
    | `code` | the SHA-256 of the code that trained the run |
    | `environment` | pairs of name and value: versions, hardware and variables that can change the last bits |

    | column of `epochs` | content |
    | --- | --- |
    | `run`, `cell`, `seed`, `epoch` | the run, named as in `runs`, and the epoch, counted from 1 |
    | `train/loss`, `train/penalty`, `train/accuracy` | means over the epoch's batches; the loss excludes the penalty |
    | `val/loss`, `val/accuracy` | measured on the validation images at the end of the epoch |
    | `time/train_seconds` | the time of training alone |

    Accuracies go from 0 to 1.  A warning says how many runs are left out because they are unfinished or unreadable.

    `multirun` is the folder that the training command writes.  `sweep` is the first digits of a sweep's id, a list of
    such digits, or None for all sweeps.  Raises BadInput if there are no sweeps or an id does not match exactly one.
    """
    folder = Path(multirun)
    if not (folder / "sweeps").is_dir():
        problem = f"{folder} is not a multirun folder: it contains no sweeps"
        raise BadInput(problem, "the folder that the training command writes", 'load_runs("multirun")')
    sweep_ids = [manifest.parent.name for manifest in folder.glob("sweeps/*/manifest.json")]
    sweeps = choose_sweeps(folder, sweep_ids if sweep is None else [sweep] if isinstance(sweep, str) else sweep)
    results = load_results(sorted(sweeps, key=lambda sweep: sweep.started), folder)
    if results.unfinished:
        states = Counter(job.state for job in results.unfinished)
        reasons = joined([f"{count:,} {state}" for state, count in states.items()])
        total = counted(len(results.runs) + len(results.unfinished), "run")
        warnings.warn(f"{len(results.unfinished):,} of {total} left out: {reasons}", stacklevel=2)
    return Runs(results.runs, results.epochs)
