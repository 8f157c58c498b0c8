"""Parses the grid that a command requests, and composes its configurations as Hydra would, in less than 1 ms each."""

import contextlib
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from src.bad_input import BadInput
from src.command import MULTIRUN
from src.config import KEYS, OPTIONS, Config, UnusedKeyError, affects_results, check_config, check_option_key
from src.runs.seeds import AUTO, SEED_KEYS
from src.sweep.overrides import CONF_FOLDER, check_overrides, group_options, parse_override
from src.sweep.packaged import GROUPS, NeedsHydra, packaged_config
from src.sweep.papers import preset_params
from src.sweep.plain_words import AnyOverride, PlainWord
from src.sweep.requested import RequestedGrid, cells_command, parse_cells
from src.sweep.values import automatic_value, check_key_is_unset, convert_value, is_unresolved

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig

LARGEST_EARLY_GRID = 1000  # combinations; their check takes 0.15 s


class Composer:
    """Composes and checks the configurations of a grid: each combination of options once; other values on copies.

    `packaged_config` composes the package's own options.  Hydra's loader composes users' files, presets and references,
    which takes 0.09 s per combination of options.  Without a loader, what only Hydra can compose or read raises
    NeedsHydra.
    """

    def __init__(self, loader: "ConfigLoader | None", config_name: str = "config") -> None:
        self._loader, self._config_name, self._groups = loader, config_name, group_options(loader)
        self._is_packaged = loader is None or (config_name == "config" and _finds_only_packaged_files(loader))
        self._compose_once, self._tree_once = functools.cache(self._compose), functools.cache(self._tree)
        self._parse_once = functools.cache(lambda name, value: self.parse(f"{name}={value}").value())

    def parse(self, word: str) -> AnyOverride:
        """Parse a word KEY=VALUE.  Without a loader, raise NeedsHydra for a word that is not plain."""
        override = parse_override(word, self._groups, self._loader)
        if self._loader is None and not isinstance(override, PlainWord):
            raise NeedsHydra
        return override

    def compose(self, overrides: Mapping[str, str]) -> Config:
        """Return the configuration of one combination; raises UnusedKeyError if the chosen option lacks a key."""
        chosen_options = tuple((name, value) for name, value in overrides.items() if name in self._groups)
        values = {name: value for name, value in overrides.items() if name not in self._groups}
        config = None
        if not any(map(is_unresolved, values.values())):  # only Hydra resolves references
            config = self._compose_once(chosen_options)
        if config is None:
            tree = self._tree_once(chosen_options)
            from src.sweep.trees import to_config, with_values

            return to_config(with_values(tree, {name: self._parse_once(name, value) for name, value in values.items()}))
        changes: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            section, _, field_name = name.rpartition(".")
            option: Any = getattr(config, section) if section else config
            if not hasattr(option, field_name):
                check_key_is_unset(name, self._parse_once(name, value), option.name)
                continue
            if value == "null" and KEYS[name].automatic:
                new_value = automatic_value(
                    name, {"model.name": config.model.name, "optimizer.name": config.optimizer.name}
                )
            else:
                if value == "null" and section in OPTIONS:
                    check_option_key(option.name, section, field_name, None)
                new_value = convert_value(name, self._parse_once(name, value))
            changes.setdefault(section, {})[field_name] = new_value
        top_level_changes = changes.pop("", {})
        sections = {name: replace(getattr(config, name), **section) for name, section in changes.items()}
        return replace(config, **top_level_changes, **sections)

    def parse_request(
        self, arguments: Sequence[str], params: Mapping[str, Any], full: Mapping[str, Any] | None = None
    ) -> RequestedGrid:
        """Return the grid that a command requests; a typed word replaces the same key of a preset's `params`.

        With `scale=full`, the overrides in `full` replace those in `params`.
        """
        typed_overrides = [self.parse(word) for word in arguments]
        names = {override.key_or_group for override in typed_overrides}
        scale = next((str(item.value()) for item in typed_overrides if item.key_or_group == "scale"), "small")
        params = preset_params(params, full, scale)
        names |= set(SEED_KEYS) if names & set(SEED_KEYS) else set()  # a typed `seed` replaces a preset's `seeds` too
        preset_overrides = [
            self.parse(f"{name}={_as_override_value(value)}") for name, value in params.items() if name not in names
        ]
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
        seeds = looks[-1] if looks else config.seeds
        # `seeds` and `sweep.cells` are not settings of a job, so they are expanded here.
        settings = [override for override in overrides if override.key_or_group not in ("seeds", "sweep.cells")]
        extra_words = [] if seeds is None or "seed" in typed_lines else [f"seed=range(0,{seeds})"]
        rest_config = self._config_of_single_values(settings)  # presets may set both keys outside `params`
        extra_words += ["seeds=null"] if rest_config.seeds is not None else []
        extra_words += ["sweep.cells=[]"] if rest_config.sweep.cells else []
        settings += map(self.parse, extra_words)
        cells = parse_cells(config.sweep.cells, settings, self._groups, self.parse)
        return RequestedGrid(settings, cells, config, looks)

    def _config_of_single_values(self, overrides: Sequence[AnyOverride]) -> Config:
        """Return the configuration from the words with one value, without keys that only some options of a job have."""
        single_overrides = [override for override in overrides if not override.is_sweep_override()]
        single_values = {override.key_or_group: override.get_value_element_as_str() for override in single_overrides}
        option_keys = {name for name in single_values if name in KEYS and KEYS[name].read_by and affects_results(name)}
        return self.compose({name: value for name, value in single_values.items() if name not in option_keys})

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

    def _compose(self, chosen_options: tuple[tuple[str, str], ...]) -> Config | None:
        """Return the Config of the chosen options, or None if a file refers to other values."""
        if self._is_packaged:
            with contextlib.suppress(NeedsHydra):
                return packaged_config(dict(chosen_options))
        tree = self._tree_once(chosen_options)
        from omegaconf import OmegaConf

        from src.sweep.trees import to_config

        return None if is_unresolved(str(OmegaConf.to_container(tree))) else to_config(tree)

    def _tree(self, chosen_options: tuple[tuple[str, str], ...]) -> "DictConfig":
        """Return the tree that Hydra composes from the chosen options."""
        if self._loader is None:
            raise NeedsHydra
        from src.sweep.option_files import check_option_file
        from src.sweep.trees import compose_tree

        for name, value in chosen_options:
            check_option_file(name, value, self._loader, self._groups)
        return compose_tree(self._loader, self._config_name, [f"{name}={value}" for name, value in chosen_options])


def _finds_only_packaged_files(loader: "ConfigLoader") -> bool:
    """Whether the loader searches no other files than Hydra's and the package's own, and no options made by code."""
    sources = loader.get_sources()
    folders = [source.path for source in sources if source.scheme() != "structured"]
    made_by_code = any(
        source.is_group(group) for source in sources if source.scheme() == "structured" for group in GROUPS
    )
    return folders == ["hydra.conf", str(CONF_FOLDER)] and not made_by_code


def check_packaged_grid(words: Sequence[str]) -> None:
    """Raise BadInput, as the sweeper would, if a grid of the package's own options has a mistake.

    Returns without a check if the grid needs Hydra.  The sweeper checks the combinations again, at 0.15 ms each, so a
    large grid is left to it.
    """
    composer = Composer(None)
    with contextlib.suppress(NeedsHydra):
        request = composer.parse_request(words, {})
        request.check_job_count(MULTIRUN)
        if request.combination_count <= LARGEST_EARLY_GRID:
            composer.compose_all(request)


def _as_override_value(value: Any) -> Any:
    """Return a preset's list as JSON, which Hydra's parser reads, and None as null; return other values unchanged."""
    if value is None:
        return "null"
    from omegaconf import OmegaConf

    return json.dumps(OmegaConf.to_object(value), ensure_ascii=False) if OmegaConf.is_list(value) else value
