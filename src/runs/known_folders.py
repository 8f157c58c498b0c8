"""Find the existing folders of jobs; a job keeps its folder in every sweep."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from src.config import Config
from src.runs.folder import JobFolder
from src.runs.identity import applies, is_same
from src.runs.naming import folder_name, format_value, job_name
from src.runs.sweep import PlannedJob, Sweep
from src.schema import flatten_dataclass, flatten_mapping
from src.storage.stored import NoAccess, exists


def plan_job(
    key: str, values: Mapping[str, Any], varies: Sequence[str], unusual: Sequence[str], known: "KnownFolders"
) -> PlannedJob:
    """Return a job's plan: its name, its existing folder or a new one, and its params.

    `values` holds the configuration by dotted key.  The keys in `varies` differ between the jobs of the sweep, those in
    `unusual` from the defaults.  Both are params; the unusual ones make up the name.
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
    folders = {job.key: known.of(job.key) or job.at(multirun) for job in sweep.jobs}
    return replace(sweep, jobs=[replace(job, folder=folders[job.key].path.name) for job in sweep.jobs])


class KnownFolders:
    """The job folders in `multirun/jobs`, listed once for thousands of look-ups."""

    def __init__(self, multirun: Path) -> None:
        self.jobs = multirun / "jobs"
        self.names: list[str] = []
        self._by_key, self._by_name = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
        try:
            self.names = sorted(path.name for path in self.jobs.iterdir())
        except PermissionError as error:
            raise NoAccess(self.jobs) from error
        except (FileNotFoundError, NotADirectoryError):  # no job has run here yet
            pass
        for folder in self.names:
            name, _, key8 = folder.rpartition("-")
            self._by_key[key8].append(folder)
            self._by_name[name].append(folder)

    def of(self, key: str) -> JobFolder | None:
        """Return a job's folder; its name ends with 8 digits of the key, and its journal holds the whole key."""
        for folder in (JobFolder(self.jobs / name) for name in self._by_key[key[:8]]):
            if all(record.get("job", key) == key for record in folder.records()[:2]):
                return folder
        return None

    def on_other_data(self, job: PlannedJob, config: Config) -> JobFolder | None:
        """Return the latest folder with the job's configuration and data path but other data, unless it has its own."""
        names = self._by_name[job.folder.rpartition("-")[0]]
        root = flatten_dataclass(config).get("data.root")
        if root is None or job.folder in names:
            return None
        folders = []
        for folder in (JobFolder(self.jobs / name) for name in names):
            start = next(iter(folder.records()), {})
            stored = start.get("config", {})
            if flatten_mapping(stored).get("data.root") == root and is_same(stored, config):
                folders.append((start["time"], folder.path))
        return JobFolder(max(folders)[1]) if folders else None
