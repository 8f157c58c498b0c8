"""Turns finished jobs into two tidy pandas frames: one row per run, and one row per epoch of a run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from src.config import KEYS, part_of_a_job
from src.runs.environment import VARIABLES
from src.runs.folder import FinishedJob
from src.runs.naming import job_name
from src.runs.shapes import EPOCH_METRICS, RESULT_METRICS

SETTINGS = [path for path in KEYS if part_of_a_job(path) and path != "seed"]
RUN = ["run", "cell", "seed"]
MEASURED = [*RESULT_METRICS, "seconds/train", "seconds/total", "parameters"]
ORIGIN = ["dataset", "dataset_name", "job", "cell_key", "folder", "code", "environment"]
HARDWARE = ("torch", "device", "cpu", "gpu", "cpu capability")
Environment = tuple[tuple[str, str], ...]
"""Names and values that can change bits, sorted; a run that was resumed elsewhere has several values of one name."""


def name_runs(jobs: Iterable[FinishedJob], varies: Sequence[str]) -> dict[str, FinishedJob]:
    """The jobs by the names of their runs: the cell's label and the seed; cells one by one, seeds ascending."""
    cells: dict[str, list[FinishedJob]] = {}
    for job in jobs:
        cells.setdefault(job.start["cell"], []).append(job)
    labels = {key: job_name(group[0].leaves, varies, seed=False) for key, group in cells.items()}
    frequency = Counter(labels.values())
    runs: dict[str, FinishedJob] = {}
    for key, group in cells.items():
        # Two cells can share a label: the same settings on other data, or two keys with the same last part.
        cell = labels[key] if frequency[labels[key]] == 1 else f"{labels[key]} {key[:6]}"
        runs |= {f"{cell} s{job.leaves['seed']}": job for job in sorted(group, key=lambda job: int(job.leaves["seed"]))}
    return runs


def run_frame(jobs: Mapping[str, FinishedJob]) -> pd.DataFrame:
    """One row per run, from the jobs by the runs' names; `load_runs` documents the columns."""
    environments = bit_changing(list(jobs.values()))
    rows = [_run_row(run, job, place) for (run, job), place in zip(jobs.items(), environments, strict=True)]
    columns = _columns(rows, [*RUN, *SETTINGS, *MEASURED, *ORIGIN])
    frame: pd.DataFrame = pd.DataFrame(rows, columns=columns, dtype=object)
    # A key that is null in some runs keeps its integers, which pandas would turn into floats.
    complete = frame.columns[frame.notna().all()]
    frame[complete] = frame[complete].infer_objects()
    return frame


def epoch_frame(jobs: Mapping[str, FinishedJob]) -> pd.DataFrame:
    """One row per epoch of a run, from the jobs by the runs' names; `load_runs` documents the columns."""
    rows = [
        _name_columns(run, job) | {"epoch": record["epoch"], **record["metrics"]}
        for run, job in jobs.items()
        for record in job.epochs
    ]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=_columns(rows, [*RUN, "epoch", *EPOCH_METRICS]))
    return frame


def _name_columns(run: str, job: FinishedJob) -> dict[str, Any]:
    return {"run": run, "cell": run.rpartition(" s")[0], "seed": job.leaves["seed"]}


def _run_row(run: str, job: FinishedJob, environment: Environment) -> dict[str, Any]:
    start, source, result = job.start, job.start["source"], job.result
    return {
        **_name_columns(run, job),
        **job.leaves,
        **result["metrics"],
        **{f"seconds/{part}": result["seconds"][part] for part in ("train", "total")},
        "parameters": start["parameters"],
        "dataset": source["digest"],
        "dataset_name": f"{job.leaves['data.name']} {source['digest'][:8]}",
        "job": start["job"],
        "cell_key": start["cell"],
        "folder": str(job.folder.path),
        "code": start["code"],
        "environment": environment,
    }


def bit_changing(jobs: Sequence[FinishedJob]) -> list[Environment]:
    """Each job's environment, reduced to the names that can change bits.

    A name of `HARDWARE` counts only if every job recorded it: older versions recorded fewer.
    """
    places = [job.environments for job in jobs]
    recorded = [name for name in HARDWARE if all(name in place for each in places for place in each)]
    names = {*recorded, *VARIABLES}
    return [
        tuple(sorted({(name, str(value)) for place in each for name, value in place.items() if name in names}))
        for each in places
    ]


def _columns(rows: Iterable[Mapping[str, Any]], known: Sequence[str]) -> list[str]:
    """The known columns, then the metrics that a later version has added."""
    return list(dict.fromkeys([*known, *(name for row in rows for name in row)]))
