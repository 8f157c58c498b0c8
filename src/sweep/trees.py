"""Composes the trees of Hydra and converts them into a `Config`.  Importing this module imports Hydra."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from src.config import KEYS, OPTIONS, Config, Regularization
from src.schema import REQUIRED, flatten
from src.sweep.option_files import missing_values
from src.sweep.values import check_key_is_unset, missing_automatic_values

# Hydra composes this first: null for every key of every option, so a word can set a key that only another option of a
# sweep has, or that a user's option file leaves out.  Keys of `reg` that a file leaves out are off.
ConfigStore.instance().store(
    name="every_key",
    node={
        group: {path.partition(".")[2]: None for path in KEYS if path.startswith(f"{group}.")} | {"name": REQUIRED}
        for group in OPTIONS
    }
    | {"reg": asdict(Regularization())},
    provider="normlab",
)


def compose_tree(loader: ConfigLoader, config_name: str, words: Sequence[str]) -> DictConfig:
    """Return the tree that Hydra composes from the words, with all values of the chosen options."""
    tree = loader.load_configuration(config_name, list(words), RunMode.RUN)
    with open_dict(tree):
        del tree["hydra"]
    return with_values(tree, missing_values(tree))


def with_values(tree: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    """Return a copy of a tree with other values, which are given by dotted key."""
    tree = copy.deepcopy(tree)
    for path, value in values.items():
        OmegaConf.update(tree, path, value, force_add=True)
    return tree


def to_config(composed_tree: DictConfig) -> Config:
    """Convert a tree that Hydra composed into a Config. Raises BadInput for an unknown option or key."""
    tree, composed_tree = OmegaConf.structured(Config), copy.deepcopy(composed_tree)
    removed_references: list[str] = []
    for section, options in OPTIONS.items():
        name = str(composed_tree[section].get("name"))
        KEYS[f"{section}.name"].check(name)
        tree[section] = options[name]
        known_names = {field.name for field in fields(options[name])}
        for key in [str(key) for key in composed_tree[section] if key not in known_names]:
            path = f"{section}.{key}"
            if path in KEYS:
                check_key_is_unset(path, composed_tree[section][key], name)
                removed_references.append(f"${{{path}}}")
                with open_dict(composed_tree):
                    del composed_tree[section][key]
    for path, value in missing_automatic_values(settings_of(composed_tree)).items():
        OmegaConf.update(composed_tree, path, value)
    for path, value in settings_of(composed_tree).items():
        if value in removed_references:  # a reference to a key that the chosen option lacks
            OmegaConf.update(composed_tree, path, None)
    config = OmegaConf.to_object(OmegaConf.merge(tree, composed_tree))
    assert isinstance(config, Config)
    return config


def settings_of(tree: DictConfig) -> dict[str, Any]:
    """Return the values of a tree by dotted key."""
    return flatten(OmegaConf.to_container(tree))
