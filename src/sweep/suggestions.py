"""Suggests corrections of mistyped words. It loads only the standard library, so a refusal comes at once."""

import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

from src.bad_input import BadInput
from src.config import KEYS, affects_results

PRESET_GROUPS = ("experiment", "paper")  # groups of presets, which set keys of other groups
UNSWEPT_GROUPS = (*PRESET_GROUPS, "tracking")  # groups that contain no settings of a job
# Groups that have another name in the configuration.
GROUP_NODES = {"regularization": "reg"}
# Words that a user may type, each with the option or key that it probably means.
ALIASES = {
    "batchnorm": "bn",
    "batch": "bn",
    "groupnorm": "gn",
    "group": "gn",
    "layernorm": "ln",
    "layer": "ln",
    "layernorm2d": "ln2d",
    "instancenorm": "in",
    "instance": "in",
    "rmsnorm": "rms",
    "tanh": "dyt",
    "erf": "derf",
    "filter": "frn",
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
    "drop_path": "reg.stochastic_depth",
    "gpu": "device",
    "dry_run": "plan",
}

Groups = Mapping[str, Sequence[str]]
"""The options of each configuration group, by the group's name."""


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the known word that a mistyped word probably means, or an empty string."""
    names = list(known)
    candidates = {name: name for name in names} | {alias: name for alias, name in ALIASES.items() if name in names}
    close_names = difflib.get_close_matches(word.lower(), candidates, n=1, cutoff=cutoff)
    return candidates[close_names[0]] if close_names else ""


def similar_keys(name: str, groups: Groups) -> list[str]:
    """Return the groups and keys that a name with a missing or wrong section probably means."""
    section, _, last_part = name.rpartition(".")
    paths = [path for path in KEYS if not path.endswith(".name")]
    section_keys = [path for path in paths if path.rpartition(".")[0] == GROUP_NODES.get(section, section)]
    last_parts = [path.rpartition(".")[2] for path in paths]
    near_part = closest(last_part, [path.rpartition(".")[2] for path in section_keys], cutoff=0.5)
    if section and near_part and last_part not in last_parts:  # `dropout` belongs to another section: it is no typo
        return [path for path in section_keys if path.endswith(f".{near_part}")]
    near_part = closest(last_part, [*({} if section else groups), *last_parts, *paths])
    return [path for path in [*groups, *paths] if near_part and near_part in (path, path.rpartition(".")[2])]


def did_you_mean(*names: str) -> str:
    """Return the question that ends a refusal, such as `; did you mean bn?`, or an empty string without names."""
    return f"; did you mean {' or '.join(names)}?" if any(names) else ""


def can_be_swept(name: str, groups: Groups) -> bool:
    """Whether a group or key is a setting of a job, which a sweep can vary."""
    return name not in UNSWEPT_GROUPS and (name in groups or affects_results(name))


def example_override(name: str, groups: Groups) -> str:
    """Return an example with two values of a key or group, or with one value if it cannot be swept."""
    if not can_be_swept(name, groups):
        return f"{name}={groups[name][0] if name in groups else KEYS[name].placeholder if name in KEYS else 'VALUE'}"
    return f"-m {name}={','.join(groups[name][:2]) if len(groups.get(name, ())) > 1 else 'A,B'}"


def sweep_of_lines(name: str, lines: Sequence[str | None], groups: Groups) -> str:
    """Return a sweep over the values of several words with one key, or the last word if the key cannot be swept."""
    texts = [(line or "").partition("=")[2] for line in lines]
    if not can_be_swept(name, groups):
        return f"{name}={texts[-1]}"
    values = list(dict.fromkeys(value for text in texts for value in text.split(",")))
    if any(re.search(r"[^\w.+-]", value) for value in values):  # quotes, ranges and references cannot be joined
        return example_override(name, groups)
    return f"{'-m ' if len(values) > 1 else ''}{name}={','.join(values)}"


def word_without_sweep(line: str, groups: Groups, is_valid: Callable[[str, Groups], bool]) -> str:
    """Return a word for a key that cannot be swept, with the values of `line` as a list, or else only the first one."""
    name, _, values = line.partition("=")
    is_list = re.fullmatch(r"[\w.+-]+(,[\w.+-]+)+", values)  # other sweeps, such as range(3), have no values to keep
    words = [f"{name}=[{values}]", f"{name}={values.partition(',')[0]}"] if is_list else []
    if is_list and name == "seeds":  # a number of seeds, confused with the seeds themselves
        words = [f"seed={values}"]
    return shlex.quote(next((word for word in words if is_valid(word, groups)), example_override(name, groups)))


def missing_equals_refusal(word: str, groups: Groups) -> BadInput:
    """Return the refusal of a word without =; it suggests the group or key that the word probably means."""
    name = word.strip("+= ")
    problem = f"{word} is not of the form KEY=VALUE" if word else "a word of the command is empty"
    if name in groups:
        return BadInput(problem, ", ".join(groups[name]), f"{name}={groups[name][0]}")
    if name in KEYS:
        return BadInput(problem, KEYS[name].allowed, f"{name}={KEYS[name].placeholder}")
    option = ALIASES.get(name, name)
    matches = [group for group, options in groups.items() if option in options]
    top_level_names = ", ".join(sorted({*groups, *(path.split(".")[0] for path in KEYS)}))
    near_key = [*similar_keys(name, groups), "norm"][0]
    fix = f"{matches[0]}={option}" if len(matches) == 1 else f"{near_key}={groups.get(near_key, ['VALUE'])[0]}"
    if name in ("help", "version"):
        fix = f"--{name}"
    return BadInput(problem, top_level_names, fix)


def unknown_key_refusal(name: str, groups: Groups, value: str, is_valid: Callable[[str, Groups], bool]) -> BadInput:
    """Return the refusal of an unknown key; it suggests a similar key, with the typed value if that is valid."""
    for group, node in GROUP_NODES.items():
        if name == node:
            return BadInput(f"{name} is not a group", ", ".join(groups[group]), f"{group}=l1 or {node}.l1=1e-5")
    near_keys = similar_keys(name, groups)
    fix = " or ".join(_override_with_value(path, value, groups, is_valid) for path in near_keys)
    section, _, last_part = name.rpartition(".")
    section_keys = [path.rpartition(".")[2] for path in KEYS if section and path.rpartition(".")[0] == section]
    if section_keys:
        names = ", ".join(key for key in section_keys if key != "name")
        return BadInput(f"{section} has no key {last_part}{did_you_mean(*near_keys)}", f"{names} (in {section})", fix)
    if section:
        sections = ", ".join(sorted({path.split(".")[0] for path in KEYS if "." in path}))
        return BadInput(f"{name}: there is no section {section}{did_you_mean(*near_keys)}", sections, fix)
    top_level_names = ", ".join(sorted({*groups, *(path for path in KEYS if "." not in path)}))
    return BadInput(f"there is no key {name}{did_you_mean(*near_keys)}", top_level_names, fix)


def _override_with_value(path: str, value: str, groups: Groups, is_valid: Callable[[str, Groups], bool]) -> str:
    word = f"{path}={value}"
    if not value:
        return f"{path}=VALUE"
    if is_valid(word, groups):
        return word
    return f"{path}={KEYS[path].placeholder}" if path in KEYS else f"{path}={groups[path][0]}"
