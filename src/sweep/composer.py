"""The configuration of a point of the grid, as Hydra would compose it, for thousands of points."""

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from src.config import Config
from src.sweep.option_files import check_option_file, gaps
from src.sweep.suggestions import Groups

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[+-]?[0-9]+)?")  # as Hydra's grammar reads it, and Python too
# OmegaConf's marks for a reference, which Hydra escapes in a single value, and for a value that must be given.
UNSETTLED = ("${", "$\\{", "???")


class Composer:
    """Lets Hydra compose each combination of group choices once, and sets single values on copies of it."""

    def __init__(self, loader: ConfigLoader, config_name: str, groups: Groups) -> None:
        self._loader, self._config_name, self._groups = loader, config_name, groups
        self._parser = OverridesParser.create(config_loader=loader)
        self._trees: dict[tuple[tuple[str, str], ...], tuple[DictConfig, Config | None]] = {}
        self._typed: dict[tuple[str, str], Any] = {}
        self._schema = OmegaConf.structured(Config)

    def compose(self, overrides: Mapping[str, str]) -> Config:
        """The configuration of one point, whose values are those that Hydra's typed nodes make of them.

        A configuration with references between its keys, or with values still to be given, is put together by the
        typed nodes as a whole, which takes a hundred times as long.
        """
        chosen = tuple((name, value) for name, value in overrides.items() if name in self._groups)
        plain = {name: value for name, value in overrides.items() if name not in self._groups}
        if chosen not in self._trees:
            self._trees[chosen] = self._tree(chosen)
        tree, config = self._trees[chosen]
        if config is None or any(_unsettled(value) for value in plain.values()):
            return self._slowly(tree, plain)
        changes: dict[str, dict[str, Any]] = {}
        for name, value in plain.items():
            section, _, leaf = name.rpartition(".")
            changes.setdefault(section, {})[leaf] = self._value(name, value)
        top = changes.pop("", {})
        return replace(config, **top, **{name: replace(getattr(config, name), **new) for name, new in changes.items()})

    def _tree(self, chosen: tuple[tuple[str, str], ...]) -> tuple[DictConfig, Config | None]:
        """What a combination of choices composes to, and its configuration where nothing in it depends on the rest."""
        for name, value in chosen:
            check_option_file(name, value, self._loader, self._groups)
        words = [f"{name}={value}" for name, value in chosen]
        tree = self._loader.load_configuration(self._config_name, words, RunMode.RUN)
        with open_dict(tree):
            del tree["hydra"]
        for path, value in gaps(tree).items():
            OmegaConf.update(tree, path, value)
        return tree, None if _unsettled(str(OmegaConf.to_container(tree))) else self._slowly(tree, {})

    def _slowly(self, tree: DictConfig, plain: Mapping[str, str]) -> Config:
        tree = copy.deepcopy(tree)
        for name, value in plain.items():
            OmegaConf.update(tree, name, self._parsed(name, value))
        config = OmegaConf.to_object(tree)
        assert isinstance(config, Config)
        return config

    def _value(self, name: str, value: str) -> Any:
        """A value as the typed node of its key holds it."""
        if (name, value) not in self._typed:
            OmegaConf.update(self._schema, name, self._parsed(name, value))
            found = OmegaConf.select(self._schema, name)
            self._typed[name, value] = OmegaConf.to_object(found) if OmegaConf.is_config(found) else found
        return self._typed[name, value]

    def _parsed(self, name: str, value: str) -> Any:
        if NUMBER.fullmatch(value):  # Hydra's parser takes a millisecond for each
            return int(value) if value.lstrip("-").isdigit() else float(value)
        return self._parser.parse_override(f"{name}={value}").value()


def _unsettled(value: str) -> bool:
    return any(mark in value for mark in UNSETTLED)
