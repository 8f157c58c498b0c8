"""Suggests the word that a mistyped one probably means; standard library only, so the answer comes at once."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence

from src.bad_input import BadInput
from src.config import KEYS, part_of_a_job

NOT_SWEPT = ("experiment", "tracking")  # groups that hold no settings of a job
# Groups whose node in the configuration has another name.
NODES = {"regularization": "reg"}
# Other names for options and keys.
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
    "dry_run": "plan",
}

Groups = Mapping[str, Sequence[str]]
"""The options of each configuration group, by the group's name."""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known word that a mistyped one probably means, or an empty text."""
    names = list(known)
    candidates = {name: name for name in names} | {a: name for a, name in ALIASES.items() if name in names}
    near = difflib.get_close_matches(word.lower(), candidates, n=1, cutoff=cutoff)
    return candidates[near[0]] if near else ""


def nearest_keys(name: str, groups: Groups) -> list[str]:
    """The groups and keys that a name with a missing or wrong section probably means."""
    section, _, last = name.rpartition(".")
    paths = [path for path in KEYS if not path.endswith(".name")]
    inside = [path for path in paths if path.rpartition(".")[0] == NODES.get(section, section)]
    if section and (near := nearest(last, [path.rpartition(".")[2] for path in inside], cutoff=0.5)):
        return [path for path in inside if path.endswith(f".{near}")]
    lasts = [path.rpartition(".")[2] for path in paths]
    near = nearest(last, [*({} if section else groups), *lasts, *paths])
    return [path for path in [*groups, *paths] if near and near in (path, path.rpartition(".")[2])]


def did_you_mean(*names: str) -> str:
    """The question at the end of a refusal; empty without names."""
    return f"; did you mean {' or '.join(names)}?" if any(names) else ""


def can_be_swept(name: str, groups: Groups) -> bool:
    """Whether a group or key is a setting of a job."""
    return name not in NOT_SWEPT and (name in groups or part_of_a_job(name))


def example(name: str, groups: Groups) -> str:
    """An example with several values of a key or group, or with one if it cannot be swept."""
    if not can_be_swept(name, groups):
        return f"{name}={groups[name][0] if name in groups else KEYS[name].placeholder if name in KEYS else 'VALUE'}"
    return f"-m {name}={','.join(groups[name][:2]) if len(groups.get(name, ())) > 1 else 'A,B'}"


def not_an_override(word: str, groups: Groups) -> BadInput:
    """The refusal of a word without =, which suggests the group or key that it probably names."""
    name = word.strip("+= ")
    what = f"{word} is not KEY=VALUE" if word else "an empty word is not KEY=VALUE"
    if name in groups:
        return BadInput(what, ", ".join(groups[name]), f"{name}={groups[name][0]}")
    if name in KEYS:
        return BadInput(what, KEYS[name].allowed, f"{name}={KEYS[name].placeholder}")
    option = ALIASES.get(name, name)
    homes = [group for group, options in groups.items() if option in options]
    keys = ", ".join(sorted({*groups, *(path.split(".")[0] for path in KEYS)}))
    near = [*nearest_keys(name, groups), "norm"][0]
    write = f"{homes[0]}={option}" if len(homes) == 1 else f"{near}={groups[near][0] if near in groups else 'VALUE'}"
    if name in ("help", "version"):
        write = f"--{name}"
    return BadInput(what, keys, write)


def unknown_key(name: str, groups: Groups, value: str, is_accepted: Callable[[str, Groups], bool]) -> BadInput:
    """The refusal of an unknown key. It suggests the nearest known key, with the typed value if `is_accepted`."""
    for group, node in NODES.items():
        if name == node:
            return BadInput(f"{name} is not a group", ", ".join(groups[group]), f"{group}=l1 or {node}.l1=1e-5")
    near = nearest_keys(name, groups)
    write = " or ".join(_with_value(path, value, groups, is_accepted) for path in near)
    section, _, last = name.rpartition(".")
    inside = [path.rpartition(".")[2] for path in KEYS if section and path.rpartition(".")[0] == section]
    if inside:
        keys = ", ".join(key for key in inside if key != "name") or "no key"
        return BadInput(f"{section} has no key {last}{did_you_mean(*near)}", f"{keys} (in {section})", write)
    if section:
        sections = ", ".join(sorted({path.split(".")[0] for path in KEYS if "." in path}))
        return BadInput(f"{name}: there is no section {section}{did_you_mean(*near)}", sections, write)
    words = ", ".join(sorted({*groups, *(path for path in KEYS if "." not in path)}))
    return BadInput(f"there is no key {name}{did_you_mean(*near)}", words, write)


def _with_value(path: str, value: str, groups: Groups, is_accepted: Callable[[str, Groups], bool]) -> str:
    word = f"{path}={value}"
    if not value:
        return f"{path}=VALUE"
    if is_accepted(word, groups):
        return word
    return f"{path}={KEYS[path].placeholder}" if path in KEYS else f"{path}={groups[path][0]}"
