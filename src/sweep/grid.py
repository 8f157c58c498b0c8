"""Turns a requested grid into jobs: composes and checks every combination before the first job starts."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.config import OPTIONS, Config
from src.datasets import OwnFiles
from src.options import Tracking
from src.runs import identity
from src.runs.known_folders import KnownFolders, plan_job
from src.runs.sweep import PlannedJob
from src.storage.space import job_bytes
from src.sweep.composer import Composer
from src.tracking.address import check_address

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig

    from src.data.images import Source


@dataclass(frozen=True)
class GridJob:
    """A job of the grid, with the overrides that compose it in Hydra's notation."""

    overrides: Mapping[str, str]
    config: Config
    key: str
    source: "Source"
    image_count: int  # the number of training images

    def disk_bytes(self, parameters: int = 0) -> int:
        """Return the bytes that the job needs on the disk; without `parameters`, which only torch can count, fewer."""
        return job_bytes(self.source.test, len(self.source.classes), parameters)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The configuration keys that identify the job, with their values."""
        return identity.job_settings(self.config)


class Grid(Composer):
    """Composes and checks the requested combinations, and names their jobs."""

    def __init__(self, loader: "ConfigLoader", config_name: str) -> None:
        super().__init__(loader, config_name)
        self._option_settings = functools.cache(lambda options: identity.job_settings(self.compose(dict(options))))

    def make_jobs(self, combinations: Sequence[Mapping[str, str]], configs: Sequence[Config]) -> list[GridJob]:
        """Return the distinct jobs of the combinations. Raises BadInput for an unreadable or too small dataset."""
        from src.data.sizes import check_sizes, train_size
        from src.data.sources import describe, load
        from src.data.split_indices import check_limit

        sources: dict[str, Source] = {}  # described once per dataset, because `describe` may download the dataset
        jobs: dict[str, GridJob] = {}
        for overrides, config in zip(combinations, configs, strict=True):
            data = repr(config.data)
            if data not in sources:
                sources[data] = describe(config.data)
                check_sizes(config.data, sources[data])
                if isinstance(config.data, OwnFiles):  # the other files are not sorted by class
                    check_limit(config.data, load(config.data))
            source = sources[data]
            config.model.check_images(source.size, source.place)
            config.model.check_norm(config.norm, source.size)
            config.augmentation.check_images(source.size, source.place)
            key = identity.job_key(identity.identity(config, source.digest))
            jobs.setdefault(key, GridJob(overrides, config, key, source, train_size(config.data, source)))
        return list(jobs.values())

    def non_default_keys(self, job: GridJob) -> list[str]:
        """Return the groups whose option is not the default, and the keys whose value differs from the option's file.

        A user's own option file counts as the package's option that it names, with changed values.
        """
        option_name_keys = [f"{section}.name" for section in OPTIONS]
        options = {name: value for name, value in job.overrides.items() if f"{name}.name" in option_name_keys}
        option_names = {group: str(job.settings.get(f"{group}.name")) for group in options}
        options |= {group: name for group, name in option_names.items() if name in self._groups[group]}
        default_settings, option_settings = self._option_settings(()), self._option_settings(tuple(options.items()))
        changed_options = [name for name in option_name_keys if default_settings.get(name) != job.settings.get(name)]
        return list(dict.fromkeys([*changed_options, *identity.find_differing_keys(job.settings, option_settings)]))

    def plan_jobs(self, jobs: Sequence[GridJob], multirun: Path) -> tuple[list[str], list[PlannedJob]]:
        """Return the keys that vary between the jobs, and the jobs with names that show their unusual keys."""
        keys = identity.find_varying_keys(job.settings for job in jobs)
        folders = KnownFolders(multirun)
        return keys, [plan_job(job.key, job.settings, keys, self.non_default_keys(job), folders) for job in jobs]


def make_grid(loader: "ConfigLoader", config: "DictConfig") -> Grid:
    """Return the grid of a command, given Hydra's loader and Hydra's configuration.

    Hydra's loader searches the folder of `--config-dir`, but not the folders of `hydra.searchpath`.
    """
    from src.sweep.option_files import make_loader

    searchpath = list(config.hydra.searchpath)
    loader = make_loader(loader.get_search_path(), searchpath) if searchpath else loader
    return Grid(loader, config.hydra.job.config_name)


def check_device_and_store(config: Config) -> None:
    """Raise BadInput if the device or the MLflow store's address, which all jobs share, cannot be used."""
    if config.device not in ("auto", "cpu") or config.execution == "graph":
        from src.training.device import pick_device, pick_execution  # imports torch, which is slow

        pick_execution(config.execution, pick_device(config.device))
    if isinstance(config.tracking, Tracking):
        check_address(config.tracking)
