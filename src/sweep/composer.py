"""Composes the configurations of a grid as Hydra would, in less than 1 ms each."""

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from src.config import KEYS, OPTIONS, Config, check_option_key
from src.sweep.overrides import group_options, parse_override
from src.sweep.packaged import NeedsHydra, packaged_config
from src.sweep.plain_words import AnyOverride, PlainWord
from src.sweep.values import automatic_value, check_key_is_unset, convert_value, is_unresolved

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig


class Composer:
    """Composes configurations: each combination of options once; other values are set on copies.

    Hydra's loader composes the options.  Without a loader, `packaged_config` composes them, and words that only Hydra
    can read raise NeedsHydra.
    """

    def __init__(self, loader: "ConfigLoader | None", config_name: str = "config") -> None:
        self._loader, self._config_name, self._groups = loader, config_name, group_options(loader)
        self._compose_once, self._parse_once = functools.cache(self._compose), functools.cache(self._parse_value)

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
        tree, config = self._compose_once(chosen_options)
        if config is None or any(map(is_unresolved, values.values())):  # only Hydra resolves references
            if tree is None:
                raise NeedsHydra
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

    def _compose(self, chosen_options: tuple[tuple[str, str], ...]) -> "tuple[DictConfig | None, Config | None]":
        """Return the tree that Hydra composes from the options, and its Config, or None if the tree has references.

        Without a loader, there is no tree.
        """
        if self._loader is None:
            return None, packaged_config(dict(chosen_options))
        from omegaconf import OmegaConf

        from src.sweep.option_files import check_option_file
        from src.sweep.trees import compose_tree, to_config

        for name, value in chosen_options:
            check_option_file(name, value, self._loader, self._groups)
        words = [f"{name}={value}" for name, value in chosen_options]
        tree = compose_tree(self._loader, self._config_name, words)
        return tree, None if is_unresolved(str(OmegaConf.to_container(tree))) else to_config(tree)

    def _parse_value(self, name: str, value: str) -> Any:
        return self.parse(f"{name}={value}").value()
