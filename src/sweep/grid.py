"""The grid: every requested combination, composed and checked before the first job starts."""

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
from src.config import KEYS, OPTIONS, Config, UnusedKey, check, part_of_a_job
from src.options import Tracking
from src.runs import identity
from src.runs.known_folders import KnownFolders, plan_job
from src.runs.seeds import KEYS as SEED_KEYS
from src.runs.seeds import seed_range
from src.runs.sweep import PlannedJob
from src.sweep.composer import Composer
from src.sweep.option_files import searching
from src.sweep.overrides import check_overrides
from src.sweep.requested import RequestedGrid, in_cells, read_cells
from src.tracking.address import check_address

if TYPE_CHECKING:
    from src.data.images import Source


@dataclass(frozen=True)
class GridJob:
    """One combination of the grid, with its overrides in Hydra's notation."""

    overrides: Mapping[str, str]
    config: Config
    key: str
    source: "Source"
    images: int  # the number of training images

    @cached_property
    def leaves(self) -> dict[str, Any]:
        """The configuration keys of the job's identity, with their values."""
        return identity.job_leaves(self.config)


class Grid(Composer):
    """Composes the requested combinations, checks them and names their jobs."""

    def __init__(self, loader: ConfigLoader, config_name: str) -> None:
        super().__init__(loader, config_name)
        self._option_leaves = functools.cache(lambda chosen: identity.job_leaves(self.compose(dict(chosen))))

    def request(self, arguments: Sequence[str], params: Mapping[str, Any]) -> RequestedGrid:
        """The grid that the typed words and a preset's `params` request; typed words win."""
        typed = self._parser.parse_overrides(list(arguments))
        names = {override.key_or_group for override in typed}
        names |= set(SEED_KEYS) if names & set(SEED_KEYS) else set()  # one replaces the other
        preset = self._parser.parse_overrides(
            [f"{name}={_as_typed(value)}" for name, value in params.items() if name not in names]
        )
        overrides = [*preset, *typed]
        check_overrides(overrides, self._groups)
        config = self._fixed(overrides)
        given = {override.key_or_group: override.input_line for override in overrides}
        if "seed" in given and "seeds" in given and config.seeds is not None:
            what = f"the seed is given twice: {given['seeds']} and {given['seed']}"
            raise BadInput(what, "one of them; seeds=3 is short for seed=0,1,2", "seeds=3")
        word = seed_range(config.seeds, given)
        # `seeds` and `sweep.cells` are not settings of a job, so they are expanded here.
        outside = [override for override in overrides if override.key_or_group not in ("seeds", "sweep.cells")]
        words = [word] if word else []
        rest = self._fixed(outside)  # a preset may set both keys outside `params`
        words += ["seeds=null"] if rest.seeds is not None else []
        words += ["sweep.cells=[]"] if rest.sweep.cells else []
        outside += self._parser.parse_overrides(words)
        return RequestedGrid(outside, read_cells(config.sweep.cells, outside, self._groups, self._loader), config)

    def _fixed(self, overrides: Sequence[Override]) -> Config:
        """The configuration of the words with one value, without keys that only some options of a job have."""
        single = {o.key_or_group: o.get_value_element_as_str() for o in overrides if not o.is_sweep_override()}
        skipped = {name for name in single if name in KEYS and KEYS[name].read_by and part_of_a_job(name)}
        return self.compose({name: value for name, value in single.items() if name not in skipped})

    def jobs(self, combinations: Sequence[Mapping[str, str]], configs: Sequence[Config]) -> list[GridJob]:
        """The jobs of the combinations, each once. Raises BadInput for an unreadable or too small dataset."""
        from src.data.sizes import check_sizes, train_size
        from src.data.sources import describe

        sources: dict[str, Source] = {}  # by dataset, because describing one may download it
        jobs: dict[str, GridJob] = {}
        for overrides, config in zip(combinations, configs, strict=True):
            data = repr(config.data)
            if data not in sources:
                sources[data] = describe(config.data)
                check_sizes(config.data, sources[data])
            source = sources[data]
            config.model.check_images(source.size, source.place)
            key = identity.job_key(identity.identity(config, source.digest))
            jobs.setdefault(key, GridJob(overrides, config, key, source, train_size(config.data, source)))
        return list(jobs.values())

    def configs(self, request: RequestedGrid) -> tuple[list[dict[str, str]], list[Config]]:
        """The combinations and their checked configurations. Raises BadInput for the first that cannot be trained."""
        combinations, configs = [], []
        for combination, cell in request.combinations():
            try:
                config = self.compose(combination)
                check(config)
            except BadInput as error:
                if cell is not None:
                    raise error.within(cell.place) from error
                if isinstance(error, UnusedKey) and (write := in_cells(request.outside, error.section, self.compose)):
                    raise error.writing(write) from error
                raise
            combinations.append(combination)
            configs.append(config)
        return combinations, configs

    def unusual(self, job: GridJob) -> list[str]:
        """The groups with another option than the default, and the keys with another value than their option's.

        A user's own option counts as the package's option that it names, with other values.
        """
        names = [f"{section}.name" for section in OPTIONS]
        chosen = {name: value for name, value in job.overrides.items() if f"{name}.name" in names}
        own = {group: str(job.leaves.get(f"{group}.name")) for group in chosen}
        chosen |= {group: name for group, name in own.items() if name in self._groups[group]}
        default, of_options = self._option_leaves(()), self._option_leaves(tuple(chosen.items()))
        choices = [name for name in names if default.get(name) != job.leaves.get(name)]
        return list(dict.fromkeys([*choices, *identity.differing(job.leaves, of_options)]))

    def planned(self, jobs: Sequence[GridJob], multirun: Path) -> tuple[list[str], list[PlannedJob]]:
        """The keys that vary between the jobs, and the jobs with names that show their unusual keys."""
        varies, known = identity.varying(job.leaves for job in jobs), KnownFolders(multirun)
        return varies, [plan_job(job.key, job.leaves, varies, self.unusual(job), known) for job in jobs]


@functools.lru_cache(maxsize=1)
def grid_of(loader: ConfigLoader, config_name: str, searchpath: tuple[str, ...]) -> Grid:
    """One grid for the sweeper and its launcher: Hydra sets them up apart, and each choice takes 80 ms to compose.

    Hydra's loader searches the folder of `--config-dir`, but not those of `hydra.searchpath`.
    """
    return Grid(searching(loader.get_search_path(), searchpath) if searchpath else loader, config_name)


def check_surroundings(config: Config) -> None:
    """Check the device and the store's address, which all jobs share. Raises BadInput."""
    if config.device not in ("auto", "cpu"):
        from src.training.device import pick_device  # imports torch

        pick_device(config.device)
    if isinstance(config.tracking, Tracking):
        check_address(config.tracking)


def _as_typed(value: Any) -> Any:
    """A preset's list in a shell's notation; other values unchanged."""
    return json.dumps(OmegaConf.to_object(value), ensure_ascii=False) if OmegaConf.is_list(value) else value
