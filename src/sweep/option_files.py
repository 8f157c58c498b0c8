"""Checks a user's own option and preset files, and the folders in which Hydra searches for them."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # PyYAML ships no types
from hydra._internal.config_loader_impl import ConfigLoaderImpl  # private: Hydra has no public loader
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.bad_input import BadInput
from src.config import KEYS, OPTIONS
from src.schema import REQUIRED, flatten
from src.sweep.hydra_keys import ALLOWED_KEYS, SEARCHPATH, USER_KEYS, is_hydra_key
from src.sweep.overrides import CONF_FOLDER
from src.sweep.suggestions import GROUP_NODES, PRESET_GROUPS, Groups, did_you_mean, similar_keys

PARAMS = "hydra.sweeper.params"


def make_loader(path: ConfigSearchPath, locations: Sequence[str]) -> ConfigLoader:
    """Return a loader that, like Hydra, searches `locations` before the folders of `path`."""
    path = copy.deepcopy(path)
    for location in locations:
        path.prepend("normlab", location, SearchPathQuery(provider="schema"))
    return ConfigLoaderImpl(path)


def check_searchpath(locations: Any, word: str) -> list[str]:
    """Return the entries of `hydra.searchpath`. Raises BadInput for an entry that Hydra cannot search."""
    example = f"'{SEARCHPATH}=[file:///FOLDER]'"
    if not isinstance(locations, list) or not all(isinstance(location, str) for location in locations):
        raise BadInput(f"{word} is not a list of folders", "file:///FOLDER or pkg://PACKAGE", example)
    for location in locations:
        scheme, _, path = location.rpartition("://")
        if scheme not in ("", "file", "pkg"):
            raise BadInput(f"{word}: Hydra cannot search {location}", "file:///FOLDER or pkg://PACKAGE", example)
        try:
            Plugins.instance()  # this call registers the sources for file:// and pkg://
            is_available = SourcesRegistry.instance().resolve(scheme or "file")("", location).available()
        except (ImportError, OSError, ValueError):
            is_available = False
        if not is_available:
            kind = "package" if scheme == "pkg" else "folder"
            in_home = path.startswith("~") and scheme != "pkg"
            suggestion = f"'{SEARCHPATH}=[file://{Path.home()}{path[1:]}]'" if in_home and path[1:2] in "/" else example
            raise BadInput(f"{word}: there is no {kind} {path}", f"an existing {kind}", suggestion)
    return locations


def check_option_file(group: str, option: str, loader: ConfigLoader, groups: Groups) -> None:
    """Raise BadInput, with the file's name, if a user's option or preset has an unknown key or a wrong value."""
    name = f"{group}/{option}"
    sources = [source for source in loader.get_sources() if source.is_config(name)]
    folders = [source.path if source.scheme() == "file" else source.full_path() for source in sources]
    files = list(dict.fromkeys(f"{folder}/{name}.yaml" for folder in folders))
    if len(files) > 1:  # otherwise the user would not notice that Hydra ignores the second file
        raise BadInput(f"{files[1]} is never read: Hydra finds {files[0]} first", f"a name other than {option}")
    if not files or Path(sources[0].path) == CONF_FOLDER:
        return
    source, file = sources[0], files[0]
    package, tree = _read_option(source, name, file)
    expected_package = "_global_" if group in PRESET_GROUPS else GROUP_NODES.get(group, group)
    package = package or group
    prefix = "" if package == "_global_" else f"{package}."
    if package not in ("_global_", expected_package):
        raise BadInput(f"{file} sets none of normlab's keys", f"# @package {expected_package} as the first line")
    if dotted_key := next((key for key in tree if "." in key), ""):
        section, _, key = dotted_key.partition(".")
        nested = f"{section}: {{{key}: {tree[dotted_key]}}}"
        raise BadInput(f"{file}: the key {dotted_key} contains a dot", "a key inside its section", nested)
    inherits = tree.pop("defaults", None) is not None
    values = flatten(tree, prefix)
    for path, value in values.items():
        _check_key(path, value, file, groups)
    name_key = f"{expected_package}.name"
    if name_key in KEYS and name_key not in values and not inherits:
        problem, choices = f"{file} does not set the key name, which chooses the {group}", KEYS[name_key].choices
        raise BadInput(problem, f"name: {', '.join(choices)}", f"name: {choices[0]}")


def missing_values(tree: DictConfig) -> dict[str, Any]:
    """Return the values that users' option files leave out, taken from the package's options that the files name."""
    values_left_out: dict[str, Any] = {}
    sections: Any = OmegaConf.to_container(tree)
    for section in OPTIONS:
        given_values, own_file = sections[section], CONF_FOLDER / section / f"{sections[section].get('name')}.yaml"
        if own_file.is_file():
            values: Any = OmegaConf.to_container(OmegaConf.load(own_file))
            empty_keys = [name for name in values if given_values.get(name, REQUIRED) in (None, REQUIRED)]
            values_left_out |= {f"{section}.{name}": values[name] for name in empty_keys if values[name] is not None}
    return values_left_out


def _read_option(source: ConfigSource, name: str, file: str) -> tuple[str | None, dict[str, Any]]:
    """Return the package that an option file's header names, or None, and the file's keys and values."""
    try:
        option_config = source.load_config(name)
        tree = OmegaConf.to_container(option_config.config)
    except (yaml.YAMLError, OmegaConfBaseException, OSError, ValueError) as error:  # ValueError: bad header or encoding
        mark = getattr(error, "problem_mark", None)
        position = f"{file}, line {mark.line + 1}" if mark else file
        reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise BadInput(f"{position} cannot be read: {reason}", "YAML with one KEY: VALUE per line") from error
    if not isinstance(tree, dict):
        raise BadInput(f"{file} contains no keys", "YAML with one KEY: VALUE per line")
    return option_config.header.get("package"), {str(key): value for key, value in tree.items()}


def _check_key(path: str, value: Any, file: str, groups: Groups) -> None:
    is_swept = path.startswith(f"{PARAMS}.")
    path = path.removeprefix(f"{PARAMS}.")
    if (is_swept and path in groups) or (path.startswith(USER_KEYS) and "_target_" not in path):
        return  # Hydra checks the values of its own keys
    if path in groups:
        problem = f"{file}: {path} is a group, and not a key"
        options = ",".join(map(str, value)) if isinstance(value, list) else value
        fix = f'hydra: {{sweeper: {{params: {{{path}: "{options}"}}}}}}'
        raise BadInput(problem, "groups below hydra.sweeper.params, where a preset's sweep is", fix)
    if is_hydra_key(path):
        raise BadInput(f"{file}: an option file cannot set {path}", ALLOWED_KEYS)
    if path not in KEYS:
        section = path.rpartition(".")[0]
        known_keys = [name for name in KEYS if name.rpartition(".")[0] == section and not name.endswith(".name")]
        problem = f"{file}: there is no key {path}{did_you_mean(*similar_keys(path, groups))}"
        raise BadInput(problem, ", ".join(known_keys or sorted({path.split(".")[0] for path in KEYS})))
    if is_swept or value == REQUIRED or (isinstance(value, str) and "${" in value):
        return  # `check_overrides` checks swept values later
    if not KEYS[path].accepts(value) and not (value is None and KEYS[path].automatic):
        raise BadInput(f"{file}: {path}={'null' if value is None else value} cannot be used", KEYS[path].allowed)
