"""Find the existing folders of jobs; a job keeps its folder in every sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from src.config import Config
from src.runs.folder import JobFolder, belongs_to
from src.runs.identity import applies, is_same
from src.runs.naming import folder_name, format_value, job_name
from src.runs.sweep import PlannedJob, Sweep
from src.schema import flat, leaves
from src.storage.stored import NoAccess, exists


def plan_job(
    key: str, values: Mapping[str, Any], varies: Sequence[str], unusual: Sequence[str], known: "KnownFolders"
) -> PlannedJob:
    """Return a job's plan: its name, its existing folder or a new one, and its params.

    Args:
        key: the job's key.
        values: the configuration values that decide its numbers.
        varies: the keys that differ between the jobs of its sweep; every job has them as params, for sorting.
        unusual: the keys that differ from the defaults in this job; they make up its name.
        known: the existing folders.
    """
    name = job_name(values, unusual)
    folder = known.of(key)
    shown = [path for path in dict.fromkeys(["norm.name", *varies, *unusual]) if applies(path, values)]
    return PlannedJob(
        key=key,
        folder=folder.path.name if folder else folder_name(name, key),
        label=name,
        cell=job_name(values, unusual, seed=False),
        params={path: format_value(values[path]) for path in shown},
    )


def with_current_folders(sweep: Sweep, multirun: Path) -> Sweep:
    """Return a sweep with its jobs' current folders, in case the user renamed some."""
    if all(exists(job.at(multirun).path) for job in sweep.jobs):
        return sweep
    known = KnownFolders(multirun)
    jobs = [replace(job, folder=found.path.name) if (found := known.of(job.key)) else job for job in sweep.jobs]
    return replace(sweep, jobs=jobs)


class KnownFolders:
    """The job folders in `multirun/jobs`, listed once for thousands of look-ups."""

    def __init__(self, multirun: Path) -> None:
        self.jobs = multirun / "jobs"
        self.names: list[str] = []
        self._by_key: dict[str, list[str]] = {}
        self._by_name: dict[str, list[str]] = {}
        try:
            self.names = sorted(path.name for path in self.jobs.iterdir())
        except PermissionError as error:
            raise NoAccess(self.jobs) from error
        except (FileNotFoundError, NotADirectoryError):  # no job has run here yet
            pass
        for folder in self.names:
            name, _, key8 = folder.rpartition("-")
            self._by_key.setdefault(key8, []).append(folder)
            self._by_name.setdefault(name, []).append(folder)

    def of(self, key: str) -> JobFolder | None:
        """Return a job's folder; its name ends with 8 digits of the key, and its journal holds the whole key."""
        folders = [JobFolder(self.jobs / name) for name in self._by_key.get(key[:8], [])]
        return next((folder for folder in folders if belongs_to(folder, key)), None)

    def on_other_data(self, job: PlannedJob, config: Config) -> JobFolder | None:
        """Return the latest folder with the same configuration and data path but other data.

        Returns None if the job itself has a folder.
        """
        names = self._by_name.get(job.folder.rpartition("-")[0], [])
        root = flat(config).get("data.root")
        if root is None or not names or job.folder in names:
            return None
        found = []
        for folder in (JobFolder(self.jobs / name) for name in names):
            records = folder.records()
            start = records[0] if records else {}
            stored = start.get("config", {})
            if leaves(stored).get("data.root") == root and is_same(stored, config):
                found.append((start["time"], folder.path))
        return JobFolder(max(found)[1]) if found else None
