"""Composes the package's own option files as Hydra would, without importing Hydra."""

import functools
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # PyYAML ships no types

from src.config import KEYS, OPTIONS, CompareSettings, Config, Regularization, SweepLimits
from src.schema import flatten
from src.sweep.overrides import CONF_FOLDER
from src.sweep.suggestions import GROUP_NODES, PRESET_GROUPS
from src.sweep.values import convert_value, is_unresolved, missing_automatic_values

# The loader in C is four times as fast, but may be missing.
_FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
HYDRA_KEYS = {"help", "mode", "output_subdir", "callbacks", "sweep"}  # the keys of `hydra` in conf/config.yaml
GROUPS = {*OPTIONS, "regularization", *PRESET_GROUPS}
OVERRIDES = {f"override hydra/{group}" for group in ("sweeper", "launcher", "job_logging", "hydra_logging")}


class NeedsHydra(Exception):
    """Only Hydra can compose this configuration."""


def packaged_config(chosen_options: Mapping[str, str]) -> Config:
    """Return the configuration that Hydra composes if these options are chosen, by group, and no preset.

    Raises NeedsHydra if a file has been edited in another way than to change values.  Raises BadInput if the network
    has no value of its own for an automatic key.
    """
    try:
        main = dict(_read_file("config"))
        items = main.pop("defaults")
        options = {group: name for item in items if isinstance(item, dict) for group, name in item.items()}
        if [item for item in items if isinstance(item, str)] != ["every_key", "_self_"]:
            raise NeedsHydra
        if set(options) != GROUPS | OVERRIDES:
            raise NeedsHydra
        options |= chosen_options
        if set(main.pop("hydra")) != HYDRA_KEYS or options["override hydra/sweeper"] != "grid":
            raise NeedsHydra
        if main.keys() & {*OPTIONS, "reg"}:  # Hydra merges these keys with those of the options
            raise NeedsHydra
        if any(options[group] not in (None, "null") for group in PRESET_GROUPS):
            raise NeedsHydra
        sections = {group: _read_file(f"{group}/{options[group]}") for group in OPTIONS}
        reg = asdict(Regularization()) | _read_file(f"regularization/{options['regularization']}")
        return _make_config({**main, **sections, "reg": reg})
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise NeedsHydra from error


def _make_config(tree: Mapping[str, Any]) -> Config:
    """Return a Config with the values of a tree.  Raises KeyError, TypeError or ValueError for a wrong key or value."""
    kinds: dict[str, Any] = {group: kinds[tree[group]["name"]] for group, kinds in OPTIONS.items()}
    kinds |= {"reg": Regularization, "sweep": SweepLimits, "compare": CompareSettings}
    values = {path: convert_value(path, value) for path, value in flatten(tree).items()}
    for path, value in values.items():
        if is_unresolved(value) or not (KEYS[path].accepts(value) or (value is None and KEYS[path].automatic)):
            raise ValueError(path)
    values |= missing_automatic_values(values)
    sections = {
        section: kind(**{item.name: values.pop(f"{section}.{item.name}") for item in fields(kind)})
        for section, kind in kinds.items()
    }
    return Config(**sections, **values)


def _read_file(name: str) -> dict[str, Any]:
    """Return the content of one of the package's option files, which a user may have edited since the last call."""
    path = CONF_FOLDER / f"{name}.yaml"
    status = path.stat()
    return _parse_file(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=256)
def _parse_file(path: Path, modified: int, size: int) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    headers = re.findall(r"^\s*#\s*@package\s+(\S+)", text, re.MULTILINE)
    if headers != [package for group, package in GROUP_NODES.items() if path.parent.name == group]:
        raise NeedsHydra
    content: dict[str, Any] = yaml.load(text, _Loader)
    return content


class _Loader(_FastLoader):  # type: ignore[misc]  # PyYAML ships no types
    """Refuses a key that a file has twice, as Hydra does."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        names = [key.value for key, _ in node.value]
        if len(set(names)) < len(names):
            raise NeedsHydra
        return super().construct_mapping(node, deep)
