"""Composes the package's own option files as Hydra would, without importing Hydra."""

import functools
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import yaml  # type: ignore[import-untyped]  # PyYAML ships no types

from src.config import KEYS, OPTIONS, CompareSettings, Config, Regularization, SweepLimits
from src.schema import flatten
from src.sweep.overrides import CONF_FOLDER
from src.sweep.suggestions import PRESET_GROUPS
from src.sweep.values import convert_value, is_unresolved, missing_automatic_values

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the loader in C is four times as fast, but may be missing
HYDRA_KEYS = {"help", "mode", "output_subdir", "callbacks", "sweep"}  # the keys of `hydra` in conf/config.yaml


class NeedsHydra(Exception):
    """Only Hydra can compose this configuration."""


def packaged_config(chosen_options: Mapping[str, str]) -> Config:
    """Return the configuration that Hydra composes if these options are chosen, by group, and no preset.

    Raises NeedsHydra if a file has been edited and holds more than one valid value per key.  Raises BadInput if the
    network has no value of its own for an automatic key.
    """
    try:
        main = dict(_read_file("config"))
        defaults = [item for item in main.pop("defaults") if isinstance(item, dict)]
        options = {group: name for item in defaults for group, name in item.items()} | dict(chosen_options)
        if set(main.pop("hydra")) != HYDRA_KEYS or options["override hydra/sweeper"] != "grid":
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


@functools.cache
def _read_file(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load((CONF_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), LOADER)
    return content
