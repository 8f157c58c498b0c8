"""How a job is called, on the disk and in MLflow: the same in whatever sweep it stands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.config import Config
from src.runs.folder import JobFolder, PlannedJob, find_job
from src.runs.identity import applies, folder_name, format_value, is_same, label


def plan_job(
    key: str, leaves: Mapping[str, Any], varies: Sequence[str], unusual: Sequence[str], multirun: Path
) -> PlannedJob:
    """Name a job by what is not the default in it, and keep the folder that it may have already.

    Args:
        key: the job's key.
        leaves: the leaves that decide what it computes.
        varies: the keys that differ between the jobs of its sweep; every job shows them as params, to be sorted by.
        unusual: the keys in which it differs from the default.
        multirun: where the jobs' folders are.
    """
    name = label(leaves, unusual)
    known = find_job(multirun, key)
    shown = [path for path in dict.fromkeys(["norm.name", *varies, *unusual]) if applies(path, leaves)]
    return PlannedJob(
        key=key,
        folder=known.path.name if known else folder_name(name, key),
        label=name,
        cell=label(leaves, unusual, seed=False),
        params={path: format_value(leaves[path]) for path in shown},
    )


def job_on_other_data(job: PlannedJob, config: Config, multirun: Path) -> JobFolder | None:
    """The latest folder of the same configuration, the data's place included, whose data was not what it is now.

    None for a job that has a folder itself.
    """
    jobs = multirun / "jobs"
    if config.data.root is None or (jobs / job.folder).exists():
        return None
    readable = job.folder.rpartition("-")[0]
    found = []
    for path in jobs.glob(f"{readable}-????????"):
        records = JobFolder(path).records()
        start = records[0] if records else {}
        if start and start["config"]["data"]["root"] == config.data.root and is_same(start["config"], config):
            found.append((start["time"], path))
    return JobFolder(max(found)[1]) if found else None
