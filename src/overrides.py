"""What was typed after the command, checked word by word and expanded into a grid.

Hydra's parser turns each word into an `Override`; this module says what is wrong with it before anything is composed,
and what every combination is.  It works on Hydra's objects without importing Hydra.
"""

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.bad_input import BadInput
from src.config import KEYS, part_of_a_job

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

CONF = Path(__file__).resolve().parent.parent / "conf"
# A group's node in the configuration, where its name is another.
NODES = {"regularization": "reg"}
NOT_SWEPT = ("experiment", "tracking")  # groups that are no part of what a job is
ALIASES = {
    "batchnorm": "bn",
    "batch": "bn",
    "groupnorm": "gn",
    "group": "gn",
    "layernorm": "ln",
    "layer": "ln",
    "instancenorm": "in",
    "instance": "in",
    "identity": "none",
    "off": "none",
    "none": "constant",
    "fixed": "constant",
    "lasso": "l1",
    "ridge": "l2",
    "elastic": "l1_l2",
    "fashion": "fashion_mnist",
    "kuzushiji": "kmnist",
    "cifar": "cifar10",
    "momentum": "sgd",
    "nesterov": "sgd",
    "mlflow": "sqlite",
    "normalization": "norm",
    "learning_rate": "optimizer.lr",
    "weight_decay": "reg.l2",
    "gpu": "device",
}

Groups = Mapping[str, Sequence[str]]
"""The options of each configuration group, by the group's name."""


def option_groups() -> dict[str, list[str]]:
    """The options of each configuration group, as they stand in `conf`."""
    folders = sorted(path for path in CONF.iterdir() if path.is_dir())
    return {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in folders}


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known word that a mistyped one probably means, or nothing."""
    names = list(known)
    candidates = {name: name for name in names} | {a: name for a, name in ALIASES.items() if name in names}
    near = difflib.get_close_matches(word.lower(), candidates, n=1, cutoff=cutoff)
    return candidates[near[0]] if near else ""


def nearest_keys(name: str, groups: Groups) -> list[str]:
    """The groups and keys that a name without its section, or with a wrong one, probably means."""
    section, _, last = name.rpartition(".")
    paths = [path for path in KEYS if not path.endswith(".name")]
    inside = [path for path in paths if path.rpartition(".")[0] == NODES.get(section, section)]
    if section and (near := nearest(last, [path.rpartition(".")[2] for path in inside], cutoff=0.5)):
        return [path for path in inside if path.endswith(f".{near}")]
    lasts = [path.rpartition(".")[2] for path in paths]
    near = nearest(last, [*({} if section else groups), *lasts, *paths])
    return [path for path in [*groups, *paths] if near and near in (path, path.rpartition(".")[2])]


def _did_you_mean(names: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""


def _several(name: str, groups: Groups) -> str:
    """How to write a key or group with more than one value, or with one where it cannot be swept."""
    if name in NOT_SWEPT or not (name in groups or part_of_a_job(name)):
        return f"{name}={groups[name][0] if name in groups else 'VALUE'}"
    return f"-m {name}={','.join(groups[name][:2]) if len(groups.get(name, ())) > 1 else 'A,B'}"


def check_text(words: Sequence[str], groups: Groups) -> None:
    """Refuse what Hydra's parser would answer with its grammar: a word without =, and an empty value in a list.

    Raises:
        BadInput: naming the word.
    """
    for word in words:
        name, equals, value = word.partition("=")
        if not name.strip() or not (equals or word.startswith("~")):
            raise _bare(word, groups)
        if "," in value and not re.search(r"[\[({'\"]", value) and not all(part.strip() for part in value.split(",")):
            raise BadInput(f"empty value in {name}: {word}", write=_several(name, groups))


def _bare(word: str, groups: Groups) -> BadInput:
    name = word.strip("+= ")
    what = f"{word} is not KEY=VALUE" if word else "an empty word is not KEY=VALUE"
    if name in groups:
        return BadInput(what, ", ".join(groups[name]), f"{name}={groups[name][0]}")
    if name in KEYS:
        return BadInput(what, KEYS[name].allowed, f"{name}={KEYS[name].placeholder}")
    option = ALIASES.get(name, name)
    homes = [group for group, options in groups.items() if option in options]
    keys = ", ".join(sorted({*groups, *(path.split(".")[0] for path in KEYS)}))
    write = f"{homes[0]}={option}" if len(homes) == 1 else f"{[*nearest_keys(name, groups), 'norm'][0]}=VALUE"
    return BadInput(what, keys, write)


def check_overrides(overrides: Sequence["Override"], groups: Groups) -> None:
    """Refuse words that name no key, no option or no possible value; every value of a sweep is looked at.

    Raises:
        BadInput: for the first such word.
    """
    seen: dict[str, str] = {}
    for override in overrides:
        name = override.key_or_group
        if name.split(".")[0].split("/")[0] == "hydra":
            continue  # Hydra's own keys are the command's affair
        _check_form(override, groups)
        if name in seen:
            what = f"{name} is given twice: {seen[name]} and {override.input_line}"
            raise BadInput(what, "one of them", _several(name, groups))
        seen[name] = override.input_line or name
        if override.is_sweep_override() and (name in NOT_SWEPT or not (name in groups or part_of_a_job(name))):
            raise BadInput(f"{name} cannot be swept: it is no part of what a job is", write=_several(name, groups))
        for value in values_of(override, groups):
            check_value(name, value, groups)


def check_value(name: str, value: Any, groups: Groups) -> None:
    """Refuse what a group or key that exists cannot be.

    Raises:
        BadInput: naming what it can be.
    """
    if name in groups:
        _check_option(name, value, groups)
    else:
        KEYS[name].check(value)


def _check_form(override: "Override", groups: Groups) -> None:
    name, line = override.key_or_group, override.input_line or ""
    section, _, last = name.rpartition(".")
    if name not in (*groups, *KEYS):
        raise unknown_key(name, groups, line.partition("=")[2])
    if override.package is not None:
        raise BadInput(f"{line}: {name} has its place", write=line.replace(f"@{override.package}", "", 1))
    if override.is_delete():
        how = "none" if "none" in groups.get(name, ()) else "null" if name == "experiment" else "VALUE"
        raise BadInput(f"{line}: nothing can be taken out of the configuration", write=f"{name}={how}")
    if override.is_add() or override.is_force_add():
        raise BadInput(f"{line}: {name} is there already", write=line.lstrip("+"))
    if section and last == "name":
        values = values_of(override, groups)
        for value in values:
            _check_option(section, value, groups)
        chosen = f"{'-m ' if len(values) > 1 else ''}{section}={','.join(map(str, values))}"
        raise BadInput(f"{line} would change the name alone", f"choose the option by {section}=...", chosen)


def unknown_key(name: str, groups: Groups, value: str = "") -> BadInput:
    """The refusal of a key that the configuration does not have, with the nearest one that it has."""
    for group, node in NODES.items():
        if name == node:
            return BadInput(f"{name} is no group", ", ".join(groups[group]), f"{group}=l1, or {node}.l1=1e-5")
    near = nearest_keys(name, groups)
    write = " or ".join(f"{path}={value or 'VALUE'}" for path in near)
    section, _, last = name.rpartition(".")
    inside = [path.rpartition(".")[2] for path in KEYS if section and path.rpartition(".")[0] == section]
    if inside:
        keys = ", ".join(key for key in inside if key != "name")
        return BadInput(f"{section} has no key {last}{_did_you_mean(near)}", f"{keys} (in {section})", write)
    if section:
        sections = ", ".join(sorted({path.split(".")[0] for path in KEYS if "." in path}))
        return BadInput(f"{name}: there is no section {section}{_did_you_mean(near)}", sections, write)
    words = ", ".join(sorted({*groups, *(path for path in KEYS if "." not in path)}))
    return BadInput(f"there is no key {name}{_did_you_mean(near)}", words, write)


def values_of(override: "Override", groups: Groups) -> list[Any]:
    """The values that one word gives, one or many.

    Raises:
        BadInput: where there is none, or where they cannot be counted.
    """
    name, line, value = override.key_or_group, override.input_line, override.value()
    if not override.is_sweep_override():
        return [_plain(value)]
    if override.value_type is not None and override.value_type.name == "GLOB_CHOICE_SWEEP":
        found: list[Any] = value.filter(groups.get(name, ()))  # type: ignore[union-attr]  # a Glob
        if not found:
            options = ", ".join(groups[name]) if name in groups else "glob() for options alone"
            raise BadInput(f"{line}: no option matches", options, _several(name, groups))
        return found
    if not override.is_discrete_sweep():
        raise BadInput(f"{line}: a grid needs single values", "choice() or range()", f"{name}=A,B")
    try:
        values = [_plain(item) for item in override.sweep_iterator(transformer=lambda item: item)]
    except ValueError as error:
        raise BadInput(f"{line}: {error}", "range(START,STOP,STEP) with a step other than 0", f"{name}=A,B") from error
    if not values:
        raise BadInput(f"{line}: an empty range", "a stop beyond the start", _several(name, groups))
    return values


def _plain(value: Any) -> Any:
    """The text of Hydra's quoted strings; any other value as it is."""
    return value.text if type(value).__name__ == "QuotedString" else value


def _check_option(group: str, value: Any, groups: Groups) -> None:
    options = groups[group]
    known = ", ".join(options)
    if isinstance(value, list | dict):
        how = _several(group, groups)
        raise BadInput(f"{group} takes one choice", known, f"{how} to compare" if how.startswith("-m") else how)
    if value == "" or (value is None and group != "experiment"):
        off = f"{group}=none" if "none" in options else f"{group}={options[0]}"
        raise BadInput(f"empty value in {group}" if value == "" else f"{group}=null", known, off)
    if value is not None and str(value) not in options:
        near = nearest(str(value), options)
        said = _did_you_mean([near] if near else [])
        raise BadInput(f"{group}={value} is not known{said}", known, f"{group}={near or options[0]}")


def expand(overrides: Sequence["Override"]) -> list[dict[str, str]]:
    """Every combination of the values, each as Hydra would write it; a later word wins over an earlier one."""
    axes: dict[str, list[str]] = {}
    for override in overrides:
        name = override.get_key_element()
        if override.is_sweep_override():
            axes[name] = list(override.sweep_string_iterator())
        else:
            axes[name] = [override.get_value_element_as_str()]
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
