"""What was typed after the command, checked word by word and expanded into a grid.

Hydra's parser turns each word into an `Override`; this module says what is wrong with it before anything is composed,
and what every combination is.  It works on Hydra's objects without importing Hydra.
"""

import difflib
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.bad_input import BadInput
from src.config import KEYS, part_of_a_job

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

CONF = Path(__file__).resolve().parent.parent / "conf"
# A group's node in the configuration, where its name is another.
NODES = {"regularization": "reg"}
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
    "lasso": "l1",
    "ridge": "l2",
    "elastic": "l1_l2",
    "fashion": "fashion_mnist",
    "kuzushiji": "kmnist",
    "cifar": "cifar10",
    "momentum": "sgd",
    "nesterov": "sgd",
}

Groups = Mapping[str, Sequence[str]]
"""The options of each configuration group, by the group's name."""


def option_groups() -> dict[str, list[str]]:
    """The options of each configuration group, as they stand in `conf`."""
    folders = sorted(path for path in CONF.iterdir() if path.is_dir())
    return {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in folders}


def suggestion(word: str, known: Sequence[str]) -> str:
    """`; did you mean X?` with the known word nearest to a mistyped one, or nothing."""
    candidates = {name: name for name in known} | {a: name for a, name in ALIASES.items() if name in known}
    near = difflib.get_close_matches(word.lower(), candidates, n=1, cutoff=0.5)
    return f"; did you mean {candidates[near[0]]}?" if near else ""


def check_text(words: Sequence[str]) -> None:
    """Refuse an empty value in a list, for which Hydra's parser would recite its grammar.

    Raises:
        BadInput: naming the key.
    """
    for word in words:
        name, _, value = word.partition("=")
        if "," in value and not re.search(r"[\[({'\"]", value) and not all(part.strip() for part in value.split(",")):
            raise BadInput(f"empty value in {name}: {word}", write=f"-m {name}=A,B")


def check_overrides(overrides: Sequence["Override"], groups: Groups) -> None:
    """Refuse words that name no key, no option or no possible value; every value of a sweep is looked at.

    Raises:
        BadInput: for the first such word.
    """
    seen: dict[str, str] = {}
    for override in overrides:
        name = override.key_or_group
        if name == "hydra.mode":
            raise BadInput("hydra.mode cannot be changed: a single run is a sweep of one", write="without hydra.mode")
        if name.split(".")[0].split("/")[0] == "hydra":
            continue  # Hydra's own keys are checked by Hydra
        _check_form(override, groups)
        if name in seen:
            raise BadInput(
                f"{name} is given twice: {seen[name]} and {override.input_line}", write=f"-m {name}=A,B to compare"
            )
        seen[name] = override.input_line or name
        if (override.is_sweep_override() and not (name in groups or part_of_a_job(name))) or _is_fixed(override):
            raise BadInput(f"{name} cannot be swept: it is no part of what a job is", write=f"{name}=VALUE")
        for value in _values(override):
            if name in groups:
                _check_option(name, value, groups)
            else:
                KEYS[name].check(value)


def _is_fixed(override: "Override") -> bool:
    return override.is_sweep_override() and override.key_or_group in ("experiment", "tracking")


def _check_form(override: "Override", groups: Groups) -> None:
    name, line = override.key_or_group, override.input_line
    known = [*groups, *KEYS]
    if override.is_delete():
        how = f"{name}=none" if "none" in groups.get(name, ()) else f"{name}=VALUE"
        raise BadInput(f"{line}: nothing can be taken out of the configuration", write=how)
    if override.package is None and name in known:
        if override.is_add() or override.is_force_add():
            raise BadInput(f"{line}: {name} is there already", write=(line or "").lstrip("+"))
        return
    raise unknown_key(name, groups)


def unknown_key(name: str, groups: Groups) -> BadInput:
    """The refusal of a key that the configuration does not have, with the nearest one that it has."""
    for group, node in NODES.items():
        if name == node:
            return BadInput(f"{name} is no group", ", ".join(groups[group]), f"{group}=l1, or {node}.l1=1e-5")
    section, dot, last = name.rpartition(".")
    inside = [path.removeprefix(f"{section}.") for path in KEYS if dot and path.startswith(f"{section}.")]
    if inside:
        return BadInput(f"{section} has no key {last}{suggestion(last, inside)}", f"{', '.join(inside)} (in {section})")
    words = sorted({*groups, *(path for path in KEYS if "." not in path)})
    if section:
        words = sorted({path.split(".")[0] for path in KEYS if "." in path})
        return BadInput(f"{name}: there is no section {section}{suggestion(section, words)}", ", ".join(words))
    return BadInput(f"there is no key {name}{suggestion(name, words)}", ", ".join(words))


def _values(override: "Override") -> list[Any]:
    if not override.is_sweep_override():
        return [_plain(override.value())]
    if not override.is_discrete_sweep():
        raise BadInput(
            f"{override.input_line}: a grid needs single values", "choice() or range()", f"{override.key_or_group}=A,B"
        )
    return [_plain(value) for value in override.sweep_iterator(transformer=lambda value: value)]


def _plain(value: Any) -> Any:
    """The text of Hydra's quoted strings; any other value as it is."""
    return value.text if type(value).__name__ == "QuotedString" else value


def _check_option(group: str, value: Any, groups: Groups) -> None:
    options = groups[group]
    if isinstance(value, list | dict):
        raise BadInput(
            f"{group} takes one choice", ", ".join(options), f"-m {group}={','.join(options[:2])} to compare"
        )
    if value in ("", None) and group != "experiment":
        off = f"{group}=none" if "none" in options else f"{group}={options[0]}"
        raise BadInput(f"empty value in {group}" if value == "" else f"{group}=null", ", ".join(options), off)
    if value is not None and str(value) not in options:
        raise BadInput(
            f"{group}={value} is not known{suggestion(str(value), options)}",
            ", ".join(options),
            f"{group}={options[0]}",
        )


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
