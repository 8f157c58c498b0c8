"""Composes the configurations of a grid: the result is Hydra's, at less than 1 ms for each of thousands."""

import copy
import functools
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from src.config import KEYS, OPTIONS, Config, UnusedKey, check_option_key
from src.schema import REQUIRED, flatten_mapping
from src.sweep.option_files import check_option_file, gaps
from src.sweep.overrides import option_groups

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[+-]?[0-9]+)?")  # as Hydra's grammar reads it, and Python too
# OmegaConf's marks for a reference, which Hydra escapes in a single value, and for a missing value.
UNSETTLED = re.compile(r"\$\\?\{|\?\?\?")

# Hydra composes this first: null for every key of every option, so a word can set a key that only another option of a
# sweep has, or that a user's option file leaves out.
ConfigStore.instance().store(
    name="every_key",
    node={
        group: {path.partition(".")[2]: None for path in KEYS if path.startswith(f"{group}.")} | {"name": REQUIRED}
        for group in OPTIONS
    },
    provider="normlab",
)


class Composer:
    """Lets Hydra compose each combination of options once, and sets single values on copies of it."""

    def __init__(self, loader: ConfigLoader, config_name: str) -> None:
        self._loader, self._config_name, self._groups = loader, config_name, option_groups(loader)
        self._parser = OverridesParser.create(config_loader=loader)
        self._cached_tree, self._cached_value = functools.cache(self._tree), functools.cache(self._value)

    def compose(self, overrides: Mapping[str, str]) -> Config:
        """Return the configuration of one combination; raises UnusedKey if the chosen option lacks a key."""
        chosen = tuple((name, value) for name, value in overrides.items() if name in self._groups)
        plain = {name: value for name, value in overrides.items() if name not in self._groups}
        tree, config = self._cached_tree(chosen)
        if config is None or any(map(UNSETTLED.search, plain.values())):  # this way takes a hundred times as long
            tree = copy.deepcopy(tree)
            for name, value in plain.items():
                OmegaConf.update(tree, name, self._parsed(name, value), force_add=True)
            return to_config(tree)
        changes: dict[str, dict[str, Any]] = {}
        for name, value in plain.items():
            section, _, leaf = name.rpartition(".")
            owner: Any = getattr(config, section) if section else config
            if not hasattr(owner, leaf):
                check_null(name, self._parsed(name, value), owner.name)
                continue
            if value == "null" and section in OPTIONS:
                check_option_key(owner.name, section, leaf, None)
            changes.setdefault(section, {})[leaf] = self._cached_value(owner.__class__, leaf, name, value)
        top = changes.pop("", {})
        return replace(config, **top, **{name: replace(getattr(config, name), **new) for name, new in changes.items()})

    def _tree(self, chosen: tuple[tuple[str, str], ...]) -> tuple[DictConfig, Config | None]:
        """Return Hydra's tree for a combination of options, and its configuration if it has no references."""
        for name, value in chosen:
            check_option_file(name, value, self._loader, self._groups)
        words = [f"{name}={value}" for name, value in chosen]
        tree = self._loader.load_configuration(self._config_name, words, RunMode.RUN)
        with open_dict(tree):
            del tree["hydra"]
        for path, value in gaps(tree).items():
            OmegaConf.update(tree, path, value, force_add=True)
        return tree, None if UNSETTLED.search(str(OmegaConf.to_container(tree))) else to_config(tree)

    def _value(self, owner: type, leaf: str, name: str, value: str) -> Any:
        """Return a value with the type of its key's field."""
        node = OmegaConf.structured(owner)
        node[leaf] = self._parsed(name, value)
        return OmegaConf.to_object(node[leaf]) if OmegaConf.is_config(node[leaf]) else node[leaf]

    def _parsed(self, name: str, value: str) -> Any:
        if NUMBER.fullmatch(value):  # Hydra's parser takes a millisecond for each
            return int(value) if value.lstrip("-").isdigit() else float(value)
        return self._parser.parse_override(f"{name}={value}").value()


def to_config(composed: DictConfig) -> Config:
    """Return a tree of Hydra's with the types of the chosen options; raises BadInput for an unknown option or key."""
    tree, composed = OmegaConf.structured(Config), copy.deepcopy(composed)
    removed: list[str] = []
    for section, options in OPTIONS.items():
        name = str(composed[section].get("name"))
        KEYS[f"{section}.name"].check(name)
        tree[section] = options[name]
        known = {item.name for item in fields(options[name])}
        for leaf in [str(leaf) for leaf in composed[section] if leaf not in known]:
            path = f"{section}.{leaf}"
            if path in KEYS:
                check_null(path, composed[section][leaf], name)
                removed.append(f"${{{path}}}")
                with open_dict(composed):
                    del composed[section][leaf]
    values: Any = OmegaConf.to_container(composed)
    for path, value in flatten_mapping(values).items():
        if value in removed:  # a reference to a key that the chosen option lacks
            OmegaConf.update(composed, path, None)
    config = OmegaConf.to_object(OmegaConf.merge(tree, composed))
    assert isinstance(config, Config)
    return config


def check_null(path: str, value: Any, option: str) -> None:
    """Raise UnusedKey for a value of a key that the chosen option does not have; null is the same as no value."""
    if value is not None and value != KEYS[path].default:
        raise UnusedKey(KEYS[path], value, option)
