"""What a mistyped word was probably meant to be.

Standard library only: a mistyped command is answered before anything heavy is imported.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from src.bad_input import BadInput
from src.config import KEYS

# A group's node in the configuration, where its name is another.
NODES = {"regularization": "reg"}
# What others call what stands here under another name.
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


def did_you_mean(names: Sequence[str]) -> str:
    """The question that a refusal ends with; nothing without names."""
    return f"; did you mean {' or '.join(names)}?" if names else ""


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
        return BadInput(f"{section} has no key {last}{did_you_mean(near)}", f"{keys} (in {section})", write)
    if section:
        sections = ", ".join(sorted({path.split(".")[0] for path in KEYS if "." in path}))
        return BadInput(f"{name}: there is no section {section}{did_you_mean(near)}", sections, write)
    words = ", ".join(sorted({*groups, *(path for path in KEYS if "." not in path)}))
    return BadInput(f"there is no key {name}{did_you_mean(near)}", words, write)
