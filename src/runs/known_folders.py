"""The jobs' folders that there are, and whose they are: a job keeps its folder in whatever sweep it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from src.config import Config
from src.runs.folder import JobFolder, holds
from src.runs.identity import applies, is_same
from src.runs.naming import folder_name, format_value, label
from src.runs.stored import NoAccess, exists
from src.runs.sweep import PlannedJob, Sweep
from src.schema import flat, leaves


def plan_job(
    key: str, values: Mapping[str, Any], varies: Sequence[str], unusual: Sequence[str], known: "KnownFolders"
) -> PlannedJob:
    """Name a job by what is not the default in it, and keep the folder that it may have already.

    Args:
        key: the job's key.
        values: the leaves that decide what it computes.
        varies: the keys that differ between the jobs of its sweep; every job shows them as params, to be sorted by.
        unusual: the keys in which it differs from the default.
        known: the folders that there are.
    """
    name = label(values, unusual)
    folder = known.of(key)
    shown = [path for path in dict.fromkeys(["norm.name", *varies, *unusual]) if applies(path, values)]
    return PlannedJob(
        key=key,
        folder=folder.path.name if folder else folder_name(name, key),
        label=name,
        cell=label(values, unusual, seed=False),
        params={path: format_value(values[path]) for path in shown},
    )


def as_called_now(sweep: Sweep, multirun: Path) -> Sweep:
    """A sweep of which some folders may have been renamed since: their keys tell whose they are."""
    if all(exists(job.at(multirun).path) for job in sweep.jobs):
        return sweep
    known = KnownFolders(multirun)
    jobs = [replace(job, folder=found.path.name) if (found := known.of(job.key)) else job for job in sweep.jobs]
    return replace(sweep, jobs=jobs)


class KnownFolders:
    """The jobs' folders under `multirun/jobs`, listed once: a plan asks for thousands of them."""

    def __init__(self, multirun: Path) -> None:
        self.jobs = multirun / "jobs"
        self.names: list[str] = []
        self._by_key: dict[str, list[str]] = {}
        self._by_label: dict[str, list[str]] = {}
        try:
            self.names = sorted(path.name for path in self.jobs.iterdir())
        except PermissionError as error:
            raise NoAccess(self.jobs) from error
        except (FileNotFoundError, NotADirectoryError):  # nothing has run here yet, or can
            pass
        for name in self.names:
            readable, _, key8 = name.rpartition("-")
            self._by_key.setdefault(key8, []).append(name)
            self._by_label.setdefault(readable, []).append(name)

    def of(self, key: str) -> JobFolder | None:
        """The folder of a job, whatever its readable part; a name holds 8 digits of the key, the journal all."""
        folders = [JobFolder(self.jobs / name) for name in self._by_key.get(key[:8], [])]
        return next((folder for folder in folders if holds(folder, key)), None)

    def on_other_data(self, job: PlannedJob, config: Config) -> JobFolder | None:
        """The latest folder of the same configuration, the data's place included, whose data was not what it is now.

        None for a job that has a folder itself.
        """
        names = self._by_label.get(job.folder.rpartition("-")[0], [])
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
