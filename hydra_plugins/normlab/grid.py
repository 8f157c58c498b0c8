"""The grid: every combination of the values that are asked for, composed and checked before the first job starts."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from src.config import SECTIONS, Config, check
from src.overrides import check_overrides, option_groups
from src.runs import identity

if TYPE_CHECKING:
    from src.data.images import Source


@dataclass(frozen=True)
class GridJob:
    """One point of the grid: its overrides as Hydra writes them, its configuration and its key."""

    overrides: Mapping[str, str]
    config: Config
    key: str

    @property
    def leaves(self) -> dict[str, Any]:
        """The leaves that decide what it computes."""
        return identity.job_leaves(self.config)


class Grid:
    """Composes points by Hydra's own loader."""

    def __init__(self, loader: ConfigLoader, config_name: str) -> None:
        self._loader, self._config_name = loader, config_name
        self._parser = OverridesParser.create(config_loader=loader)
        self._groups = option_groups()
        self._composed: dict[tuple[tuple[str, str], ...], DictConfig] = {}
        self._leaves: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}

    def overrides(self, arguments: Sequence[str], params: Mapping[str, Any]) -> list[Override]:
        """What is typed and what a preset says; a typed word wins over the preset's.

        Raises:
            BadInput: for a word that names no key or value.
        """
        typed = self._parser.parse_overrides(list(arguments))
        names = {override.key_or_group for override in typed}
        preset = self._parser.parse_overrides(
            [f"{name}={value}" for name, value in params.items() if name not in names]
        )
        check_overrides([*preset, *typed], self._groups)
        return [*preset, *typed]

    def jobs(self, points: Sequence[Mapping[str, str]], configs: Sequence[Config]) -> list[GridJob]:
        """The points' jobs, each once.

        Raises:
            BadInput: where a dataset cannot be read or does not fit.
        """
        from src.data.sizes import check_sizes
        from src.data.sources import describe

        sources: dict[str, Source] = {}  # of each dataset once: describing one may read or download it
        jobs: dict[str, GridJob] = {}
        for overrides, config in zip(points, configs, strict=True):
            data = repr(config.data)
            sources[data] = source = sources.get(data) or describe(config.data)
            check_sizes(config.data, source)
            key = identity.job_key(identity.identity(config, source.digest))
            jobs.setdefault(key, GridJob(overrides, config, key))
        return list(jobs.values())

    def configs(self, points: Sequence[Mapping[str, str]]) -> list[Config]:
        """The points' configurations, each of them checked.

        Raises:
            BadInput: for the first that could not be trained as it is written.
        """
        configs = [self.compose(overrides) for overrides in points]
        for config in configs:
            check(config)
        return configs

    def compose(self, overrides: Mapping[str, str]) -> Config:
        """The configuration of one point.

        Hydra composes each combination of group choices once; single values are set on a copy, a hundred times faster,
        by the same typed nodes.
        """
        chosen = tuple((name, value) for name, value in overrides.items() if name in self._groups)
        if chosen not in self._composed:
            words = [f"{name}={value}" for name, value in chosen]
            composed = self._loader.load_configuration(self._config_name, words, RunMode.RUN)
            with open_dict(composed):
                del composed["hydra"]
            self._composed[chosen] = composed
        composed = copy.deepcopy(self._composed[chosen])
        for name, value in overrides.items():
            if name not in self._groups:
                OmegaConf.update(composed, name, self._parser.parse_override(f"{name}={value}").value())
        config = OmegaConf.to_object(composed)
        assert isinstance(config, Config)
        return config

    def unusual(self, job: GridJob) -> list[str]:
        """The keys in which a job differs from what its choices of options come with, and choices not the default's."""
        names = [f"{section}.name" for section in SECTIONS]
        chosen = {name: value for name, value in job.overrides.items() if f"{name}.name" in names}
        default, plain = self._plain({}), self._plain(chosen)
        choices = [name for name in names if default.get(name) != job.leaves.get(name)]
        return [*choices, *identity.varying([plain, job.leaves])]

    def _plain(self, chosen: Mapping[str, str]) -> dict[str, Any]:
        """The leaves that a choice of options comes with."""
        key = tuple(chosen.items())
        if key not in self._leaves:
            self._leaves[key] = identity.job_leaves(self.compose(chosen))
        return self._leaves[key]
