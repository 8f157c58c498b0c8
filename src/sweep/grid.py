"""Turns a requested grid into jobs: composes and checks every combination before the first job starts."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from src.bad_input import BadInput
from src.config import KEYS, OPTIONS, Config, UnusedKeyError, affects_results, check_config
from src.datasets import OwnFiles
from src.options import Tracking
from src.runs import identity
from src.runs.known_folders import KnownFolders, plan_job
from src.runs.seeds import AUTO, SEED_KEYS, seed_range
from src.runs.sweep import PlannedJob
from src.storage.space import job_bytes
from src.sweep.composer import Composer
from src.sweep.option_files import make_loader
from src.sweep.overrides import check_overrides
from src.sweep.papers import preset_params
from src.sweep.requested import RequestedGrid, cells_command, parse_cells
from src.tracking.address import check_address

if TYPE_CHECKING:
    from src.data.images import Source


@dataclass(frozen=True)
class GridJob:
    """A job of the grid, with the overrides that compose it in Hydra's notation."""

    overrides: Mapping[str, str]
    config: Config
    key: str
    source: "Source"
    image_count: int  # the number of training images

    @property
    def least_bytes(self) -> int:
        """The bytes that the job needs on the disk without its weights, which only torch can count."""
        return job_bytes(self.source.test, len(self.source.classes))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The configuration keys that identify the job, with their values."""
        return identity.job_settings(self.config)


class Grid(Composer):
    """Composes and checks the requested combinations, and names their jobs."""

    def __init__(self, loader: ConfigLoader, config_name: str) -> None:
        super().__init__(loader, config_name)
        self.varying_keys: list[str] = []  # of the jobs that `plan_jobs` planned last
        self._option_settings = functools.cache(lambda options: identity.job_settings(self.compose(dict(options))))

    def parse_request(
        self, arguments: Sequence[str], params: Mapping[str, Any], full: Mapping[str, Any] | None = None
    ) -> RequestedGrid:
        """Return the grid that a command requests; a typed word replaces the same key of a preset's `params`.

        With `scale=full`, the overrides in `full` replace those in `params`.
        """
        typed_overrides = self._parser.parse_overrides(list(arguments))
        names = {override.key_or_group for override in typed_overrides}
        scale = next((str(item.value()) for item in typed_overrides if item.key_or_group == "scale"), "small")
        params = preset_params(params, full, scale)
        names |= set(SEED_KEYS) if names & set(SEED_KEYS) else set()  # a typed `seed` replaces a preset's `seeds` too
        preset_overrides = self._parser.parse_overrides(
            [f"{name}={_as_override_value(value)}" for name, value in params.items() if name not in names]
        )
        overrides = [*preset_overrides, *typed_overrides]
        check_overrides(overrides, self._groups)
        config: Config = self._config_of_single_values(overrides)
        if config.scale != scale:  # a file cannot choose the preset's overrides, which are already chosen
            raise BadInput(f"scale={config.scale} in a file has no effect", write=f"scale={config.scale}")
        typed_lines = {override.key_or_group: override.input_line for override in overrides}
        if "seed" in typed_lines and "seeds" in typed_lines and config.seeds is not None:
            problem = f"the seed is given twice: {typed_lines['seeds']} and {typed_lines['seed']}"
            raise BadInput(problem, "one of them; seeds=3 is short for seed=0,1,2", typed_lines["seeds"] or "")
        looks = tuple(config.compare.looks) if config.seeds == AUTO and "seed" not in typed_lines else ()
        seed_word = seed_range(looks[-1] if looks else config.seeds, typed_lines)
        # `seeds` and `sweep.cells` are not settings of a job, so they are expanded here.
        settings = [override for override in overrides if override.key_or_group not in ("seeds", "sweep.cells")]
        extra_words = [seed_word] if seed_word else []
        rest_config = self._config_of_single_values(settings)  # presets may set both keys outside `params`
        extra_words += ["seeds=null"] if rest_config.seeds is not None else []
        extra_words += ["sweep.cells=[]"] if rest_config.sweep.cells else []
        settings += self._parser.parse_overrides(extra_words)
        cells = parse_cells(config.sweep.cells, settings, self._groups, self._loader)
        return RequestedGrid(settings, cells, config, looks)

    def _config_of_single_values(self, overrides: Sequence[Override]) -> Config:
        """Return the configuration from the words with one value, without keys that only some options of a job have."""
        single_overrides = [override for override in overrides if not override.is_sweep_override()]
        single_values = {override.key_or_group: override.get_value_element_as_str() for override in single_overrides}
        option_keys = {name for name in single_values if name in KEYS and KEYS[name].read_by and affects_results(name)}
        return self.compose({name: value for name, value in single_values.items() if name not in option_keys})

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

    def compose_all(self, request: RequestedGrid) -> tuple[list[dict[str, str]], list[Config]]:
        """Return all combinations and their configurations. Raises BadInput if one of them cannot be trained."""
        combinations, configs = [], []
        for combination, cell in request.combinations():
            try:
                config = self.compose(combination)
                check_config(config)
            except BadInput as error:
                if cell is not None:
                    raise error.with_location(cell.location) from error
                if isinstance(error, UnusedKeyError) and (
                    command := cells_command(request.overrides, error.section, self.compose)
                ):
                    raise error.with_correction(command) from error
                raise
            combinations.append(combination)
            configs.append(config)
        return combinations, configs

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
        self.varying_keys = keys = identity.find_varying_keys(job.settings for job in jobs)
        folders = KnownFolders(multirun)
        return keys, [plan_job(job.key, job.settings, keys, self.non_default_keys(job), folders) for job in jobs]


@functools.lru_cache(maxsize=1)
def shared_grid(loader: ConfigLoader, config_name: str, searchpath: tuple[str, ...]) -> Grid:
    """Return one Grid that Hydra's sweeper and launcher share, because each choice of options takes 80 ms to compose.

    Hydra's loader searches the folder of `--config-dir`, but not the folders of `hydra.searchpath`.
    """
    return Grid(make_loader(loader.get_search_path(), searchpath) if searchpath else loader, config_name)


def check_device_and_store(config: Config) -> None:
    """Raise BadInput if the device or the MLflow store's address, which all jobs share, cannot be used."""
    if config.device not in ("auto", "cpu") or config.execution == "graph":
        from src.training.device import pick_device, pick_execution  # imports torch, which is slow

        pick_execution(config.execution, pick_device(config.device))
    if isinstance(config.tracking, Tracking):
        check_address(config.tracking)


def _as_override_value(value: Any) -> Any:
    """Return a preset's list as JSON, which Hydra's parser reads, and None as null; return other values unchanged."""
    if value is None:
        return "null"
    return json.dumps(OmegaConf.to_object(value), ensure_ascii=False) if OmegaConf.is_list(value) else value
