"""Finds the existing folders of jobs. All sweeps that contain a job share the job's folder."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from src.config import Config
from src.runs.folder import JobFolder
from src.runs.identity import applies, is_same_config
from src.runs.naming import folder_name, format_value, job_name
from src.runs.sweep import PlannedJob, Sweep
from src.schema import flatten
from src.storage.stored import NoAccess, exists


def plan_job(
    key: str, values: Mapping[str, Any], varying_keys: Sequence[str], unusual_keys: Sequence[str], known: "KnownFolders"
) -> PlannedJob:
    """Return the planned job with this key: its name, its existing or future folder, and its params.

    `values` holds the configuration by dotted key.  `varying_keys` differ between the sweep's jobs, and `unusual_keys`
    differ from the defaults.  All these keys become params, and `unusual_keys` form the name.
    """
    name = job_name(values, unusual_keys)
    folder = known.find_folder(key)
    param_keys = [path for path in dict.fromkeys(["norm.name", *varying_keys, *unusual_keys]) if applies(path, values)]
    return PlannedJob(
        key=key,
        folder=folder.path.name if folder else folder_name(name, key),
        label=name,
        cell=job_name(values, unusual_keys, seed=False),
        params={path: format_value(values[path]) for path in param_keys},
    )


def find_renamed_folders(sweep: Sweep, multirun: Path) -> Sweep:
    """Return a sweep with the current folders of its jobs, because the user may have renamed some."""
    if all(exists(job.folder_in(multirun).path) for job in sweep.jobs):
        return sweep
    known = KnownFolders(multirun)
    folders = {job.key: known.find_folder(job.key) or job.folder_in(multirun) for job in sweep.jobs}
    return replace(sweep, jobs=[replace(job, folder=folders[job.key].path.name) for job in sweep.jobs])


class KnownFolders:
    """The job folders in `multirun/jobs`, which are listed only once, because a sweep looks up thousands of jobs."""

    def __init__(self, multirun: Path) -> None:
        self.jobs_folder = multirun / "jobs"
        self.folder_names: list[str] = []
        self._names_by_key, self._names_by_name = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
        try:
            self.folder_names = sorted(path.name for path in self.jobs_folder.iterdir())
        except PermissionError as error:
            raise NoAccess(self.jobs_folder) from error
        except (FileNotFoundError, NotADirectoryError):  # no job has run here yet
            pass
        for folder in self.folder_names:
            name, _, key_start = folder.rpartition("-")
            self._names_by_key[key_start].append(folder)
            self._names_by_name[name].append(folder)

    def find_folder(self, key: str) -> JobFolder | None:
        """Return the folder of the job with this key, or None; compares the key in the folder's journal."""
        for folder in (JobFolder(self.jobs_folder / name) for name in self._names_by_key[key[:8]]):
            if all(record.get("job", key) == key for record in folder.records()[:2]):
                return folder
        return None

    def find_job_on_other_data(self, job: PlannedJob, config: Config) -> JobFolder | None:
        """Return the newest folder whose job differs from `job` only in its data; None if `job` has a folder itself."""
        names = self._names_by_name[job.folder.rpartition("-")[0]]
        root = getattr(config.data, "root", None)
        if root is None or job.folder in names:
            return None
        dated_folders = []
        for folder in (JobFolder(self.jobs_folder / name) for name in names):
            start = next(iter(folder.records()), {})
            stored_config = start.get("config", {})
            if flatten(stored_config).get("data.root") == root and is_same_config(stored_config, config):
                dated_folders.append((start["time"], folder.path))
        return JobFolder(max(dated_folders)[1]) if dated_folders else None
