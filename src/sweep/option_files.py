"""Options and presets outside the package: the folders that Hydra searches, and the checks of a file."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it ships no types
from hydra._internal.config_loader_impl import ConfigLoaderImpl  # Hydra's only loader; no public function returns it
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.bad_input import BadInput
from src.config import KEYS, OPTIONS
from src.schema import REQUIRED, flatten_mapping
from src.sweep.hydra_keys import ALLOWED, FREE, is_hydra_key
from src.sweep.overrides import CONF
from src.sweep.suggestions import NODES, Groups, did_you_mean, nearest_keys

SEARCHPATH, SWEPT = "hydra.searchpath", "hydra.sweeper.params"


def searching(path: ConfigSearchPath, places: Sequence[str]) -> ConfigLoader:
    """A loader that searches `places` before the folders of `path`, as Hydra does."""
    path = copy.deepcopy(path)
    for place in places:
        path.prepend("normlab", place, SearchPathQuery(provider="schema"))
    return ConfigLoaderImpl(path)


def check_places(places: Any, word: str) -> list[str]:
    """The places of `hydra.searchpath`. Raises BadInput for one that cannot be searched."""
    example = f"'{SEARCHPATH}=[file:///FOLDER]'"
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
        raise BadInput(f"{word} is not a list of folders", "file:///FOLDER or pkg://PACKAGE", example)
    for place in places:
        scheme, _, rest = place.rpartition("://")
        if scheme not in ("", "file", "pkg"):
            raise BadInput(f"{word}: Hydra cannot search {place}", "file:///FOLDER or pkg://PACKAGE", example)
        try:
            Plugins.instance()  # registers the sources
            there = SourcesRegistry.instance().resolve(scheme or "file")("", place).available()
        except (ImportError, OSError, ValueError):
            there = False
        if not there:
            what = "package" if scheme == "pkg" else "folder"
            home = rest.startswith("~") and scheme != "pkg"
            write = f"'{SEARCHPATH}=[file://{Path.home()}{rest[1:]}]'" if home and rest[1:2] in "/" else example
            raise BadInput(f"{word}: there is no {what} {rest}", "an existing one", write)
    return places


def check_option_file(group: str, option: str, loader: ConfigLoader, groups: Groups) -> None:
    """Refuse a user's option or preset with an unknown key or a wrong value. Raises BadInput with the file's name."""
    name = f"{group}/{option}"
    sources = [source for source in loader.get_sources() if source.is_config(name)]
    folders = [source.path if source.scheme() == "file" else source.full_path() for source in sources]
    files = list(dict.fromkeys(f"{folder}/{name}.yaml" for folder in folders))
    if len(files) > 1:  # the author expects Hydra to use it
        raise BadInput(f"{files[1]} is never read: Hydra finds {files[0]} first", f"another name than {option}")
    if not files or Path(sources[0].path) == CONF:
        return
    source, file = sources[0], files[0]
    package, tree = _read(source, name, file)
    wanted = "_global_" if group == "experiment" else NODES.get(group, group)
    package = package or group
    prefix = "" if package == "_global_" else f"{package}."
    if package not in ("_global_", wanted):
        raise BadInput(f"{file} sets no key of normlab's", f"a first line # @package {wanted}")
    inherits = tree.pop("defaults", None) is not None
    values = flatten_mapping(tree, prefix)
    for path, value in values.items():
        _check_leaf(path, value, file, groups)
    name_key = f"{wanted}.name"
    if name_key in KEYS and name_key not in values and not inherits:
        what, choices = f"{file} does not say which {group} it is", KEYS[name_key].choices
        raise BadInput(what, f"name: {', '.join(choices)}", f"name: {choices[0]}")


def gaps(tree: DictConfig) -> dict[str, Any]:
    """The values that a user's option leaves out, from the package's option that it names."""
    missing: dict[str, Any] = {}
    whole: Any = OmegaConf.to_container(tree)
    for section in OPTIONS:
        given, own = whole[section], CONF / section / f"{whole[section].get('name')}.yaml"
        if own.is_file():
            values: Any = OmegaConf.to_container(OmegaConf.load(own))
            empty = [name for name in values if given.get(name, REQUIRED) in (None, REQUIRED)]
            missing |= {f"{section}.{name}": values[name] for name in empty if values[name] is not None}
    return missing


def _read(source: ConfigSource, name: str, file: str) -> tuple[str | None, dict[str, Any]]:
    """The package in a file's header, and the file's content."""
    try:
        loaded = source.load_config(name)
        tree = OmegaConf.to_container(loaded.config)
    except (yaml.YAMLError, OmegaConfBaseException, OSError, ValueError) as error:  # ValueError: header, UTF-8
        mark = getattr(error, "problem_mark", None)
        place = f"{file}, line {mark.line + 1}" if mark else file
        reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise BadInput(f"{place} cannot be read: {reason}", "YAML, a line KEY: VALUE each") from error
    if not isinstance(tree, dict):
        raise BadInput(f"{file} holds no keys", "YAML, a line KEY: VALUE each")
    return loaded.header.get("package"), {str(key): value for key, value in tree.items()}


def _check_leaf(path: str, value: Any, file: str, groups: Groups) -> None:
    swept = path.startswith(f"{SWEPT}.")
    path = path.removeprefix(f"{SWEPT}.")
    if (swept and path in groups) or (path.startswith(FREE) and "_target_" not in path):
        return  # Hydra checks its own keys
    if is_hydra_key(path):
        raise BadInput(f"{file}: {path} cannot be set", ALLOWED)
    if path not in KEYS:
        section = path.rpartition(".")[0]
        known = [name for name in KEYS if name.rpartition(".")[0] == section and not name.endswith(".name")]
        what = f"{file}: there is no key {path}{did_you_mean(*nearest_keys(path, groups))}"
        raise BadInput(what, ", ".join(known or sorted({path.split(".")[0] for path in KEYS})))
    if swept or value == REQUIRED or (isinstance(value, str) and "${" in value):
        return  # swept values are checked with the typed words
    if not KEYS[path].accepts(value):
        raise BadInput(f"{file}: {path}={'null' if value is None else value} cannot be used", KEYS[path].allowed)
