"""Turns finished jobs into two tidy pandas frames: one row per run, and one row per epoch of a run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from src.config import KEYS, OPTIONS, affects_results
from src.runs.environment import VARIABLES
from src.runs.folder import FinishedJob
from src.runs.naming import job_name
from src.runs.shapes import EPOCH_METRICS, RESULT_METRICS

SETTING_COLUMNS = [path for path in KEYS if affects_results(path) and path != "seed"]
NAME_COLUMNS = ["run", "cell", "seed"]
RESULT_COLUMNS = [*RESULT_METRICS, "seconds/train", "seconds/total", "parameters"]
ORIGIN_COLUMNS = ["dataset", "dataset_name", "job", "cell_key", "folder", "code", "environment"]
HARDWARE = ("torch", "device", "cpu", "gpu", "cpu capability")
OPTIONAL_PACKAGES = {package for options in OPTIONS.values() for kind in options.values() for package in kind.packages}
Environment = tuple[tuple[str, str], ...]
"""Sorted pairs of a name and its value, such as `torch` and `2.14.0`.  A resumed run can have two values for a name."""


def name_runs(jobs: Iterable[FinishedJob], varies: Sequence[str]) -> dict[str, FinishedJob]:
    """Map the name of each run (its cell's name and its seed) to its job, cell by cell, with ascending seeds."""
    cells: dict[str, list[FinishedJob]] = {}
    for job in jobs:
        cells.setdefault(job.start["cell"], []).append(job)
    cell_names = {key: job_name(group[0].settings, varies, seed=False) for key, group in cells.items()}
    frequency = Counter(cell_names.values())
    runs: dict[str, FinishedJob] = {}
    for key, group in cells.items():
        # Two cells get the same name if only their datasets differ, or if two keys have the same last part.
        cell = cell_names[key] if frequency[cell_names[key]] == 1 else f"{cell_names[key]} {key[:6]}"
        by_seed = sorted(group, key=lambda job: int(job.settings["seed"]))
        runs |= {f"{cell} s{job.settings['seed']}": job for job in by_seed}
    return runs


def run_frame(jobs: Mapping[str, FinishedJob]) -> pd.DataFrame:
    """Return a frame with one row per run.  `jobs` maps run names to jobs; `load_runs` documents the columns."""
    environments = bit_changing_environments(list(jobs.values()))
    rows = [_run_row(*item, environment) for item, environment in zip(jobs.items(), environments, strict=True)]
    columns = _column_names(rows, [*NAME_COLUMNS, *SETTING_COLUMNS, *RESULT_COLUMNS, *ORIGIN_COLUMNS])
    frame: pd.DataFrame = pd.DataFrame(rows, columns=columns, dtype=object)
    # Columns with missing values keep the type object, because pandas would turn their integers into floats.
    complete_columns = frame.columns[frame.notna().all()]
    frame[complete_columns] = frame[complete_columns].infer_objects()
    return frame


def epoch_frame(jobs: Mapping[str, FinishedJob]) -> pd.DataFrame:
    """Return a frame with one row per epoch of a run.  `jobs` maps run names to jobs; see `load_runs` for columns."""
    rows = [
        _name_columns(run, job) | {"epoch": record["epoch"], **record["metrics"]}
        for run, job in jobs.items()
        for record in job.epochs
    ]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=_column_names(rows, [*NAME_COLUMNS, "epoch", *EPOCH_METRICS]))
    return frame


def _name_columns(run: str, job: FinishedJob) -> dict[str, Any]:
    return {"run": run, "cell": run.rpartition(" s")[0], "seed": job.settings["seed"]}


def _run_row(run: str, job: FinishedJob, environment: Environment) -> dict[str, Any]:
    start, source, result = job.start, job.start["source"], job.result
    return {
        **_name_columns(run, job),
        **job.settings,
        **result["metrics"],
        **{f"seconds/{part}": result["seconds"][part] for part in ("train", "total")},
        "parameters": start["parameters"],
        "dataset": source["digest"],
        "dataset_name": f"{job.settings['data.name']} {source['digest'][:8]}",
        "job": start["job"],
        "cell_key": start["cell"],
        "folder": str(job.folder.path),
        "code": start["code"],
        "environment": environment,
    }


def bit_changing_environments(jobs: Sequence[FinishedJob]) -> list[Environment]:
    """The environment of each job, reduced to the names that can change the last bits of a result.

    A name in `HARDWARE` counts only if every job recorded it, because older versions recorded fewer names.  An optional
    package also counts only then, because a job records it only if it uses it.  A CUDA graph gives the bits of eager
    steps with deterministic algorithms, so `execution` counts only with others.
    """
    any_order = any(job.settings["nondeterministic"] for job in jobs)
    candidates = (*HARDWARE, *OPTIONAL_PACKAGES, *(["execution"] if any_order else []))
    all_recorded = [name for name in candidates if all(name in env for job in jobs for env in job.environments)]
    names = {*all_recorded, *VARIABLES}
    return [
        tuple(sorted({(key, _value_text(key, env[key])) for env in job.environments for key in names & env.keys()}))
        for job in jobs
    ]


def _value_text(name: str, value: Any) -> str:
    """A value as text; of the device only its kind, because GPU 1 gives the bits of GPU 0 if it is the same model."""
    return str(value).partition(":")[0] if name == "device" else str(value)


def _column_names(rows: Iterable[Mapping[str, Any]], known: Sequence[str]) -> list[str]:
    """The known columns, followed by all other keys of the rows, such as metrics that a later version added."""
    return list(dict.fromkeys([*known, *(name for row in rows for name in row)]))
