"""The configuration of one job, and the checks that a job must pass before it starts.

This module imports only the standard library, so the command can reject a typo quickly.  The values are in
`conf/*.yaml`.  A default in this module means "off" and never changes, so a new key does not change the identity of old
jobs (`src/runs/identity.py`).  A key without a default always has a value in the YAML files.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from src.augmentation import AUGMENTATIONS, Augmentation
from src.augmentation.none import NoAugmentation
from src.bad_input import BadInput
from src.datasets import DATASETS, Data
from src.models import NETWORKS, ConvolutionalNetwork, Network
from src.norms import NORMS, Norm
from src.options import OPTIMIZERS, SCHEDULES, TRACKERS, Optimizer, Schedule, TrackingOption
from src.regularization import Regularization as Regularization
from src.schema import REQUIRED, Key, Options, class_keys, flatten, group_keys, key, known_fields


@dataclass
class SweepLimits:
    """The limits of one sweep, and its combinations if they form no grid; these keys do not affect a job's results."""

    max_jobs: int = key(200, at_least=1)
    cells: list[str] = key([], example='["norm=none","norm=gn norm.groups=2,4"]')  # noqa: RUF009  # `key` copies it
    on_failure: str = key("continue", choices=("continue", "stop"))
    same_failures: int = key(3, at_least=1)


@dataclass
class CompareSettings:
    """When two methods count as equal, and when `seeds=auto` compares; these keys do not affect a job's results."""

    equal: float = key(0.1, above=0, at_most=100)
    looks: list[int] = key([5, 10, 20], at_least=2, example="[5,10,20]")  # noqa: RUF009  # copied per object


@dataclass
class Config:
    """The configuration of one job, and of the command that runs it."""

    norm: Norm = REQUIRED
    reg: Regularization = field(default_factory=Regularization)
    optimizer: Optimizer = REQUIRED
    schedule: Schedule = REQUIRED
    data: Data = REQUIRED
    augmentation: Augmentation = field(default_factory=NoAugmentation)
    model: Network = REQUIRED
    tracking: TrackingOption = REQUIRED
    sweep: SweepLimits = field(default_factory=SweepLimits)
    compare: CompareSettings = field(default_factory=CompareSettings)
    epochs: int = key(at_least=1, automatic=True)
    seed: int = key(at_least=0, at_most=2**32 - 1)
    init_seed: int | None = key(None, at_least=0, at_most=2**32 - 1)
    order_seed: int | None = key(None, at_least=0, at_most=2**32 - 1)
    # `seeds=3` means `seed=0,1,2`, and `seeds=auto` adds seeds until the question is decided; null in a job
    seeds: int | str | None = key(None, at_least=1, at_most=2**32, word="auto")
    threads: int = key(at_least=1, at_most=1024)
    precision: str = key("float32", choices=("float32", "bfloat16"))
    deterministic: bool = key(False)  # has no effect; it is part of the job keys of earlier versions
    nondeterministic: bool = key(False)
    execution: str = key("auto", choices=("auto", "eager", "graph"))
    device: str = key("auto", example="auto")
    resume: str = key("auto", choices=("auto", "restart"))
    plan: bool = key(False)
    scale: str = key("small", choices=("small", "full"))  # of a paper; full is the paper's own network and data


OPTIONS: Mapping[str, Options] = {
    "norm": NORMS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "data": DATASETS,
    "augmentation": AUGMENTATIONS,
    "model": NETWORKS,
    "tracking": TRACKERS,
}
"""The option classes, by the name of their configuration group and their own name."""


def _all_keys() -> dict[str, Key]:
    keys_without_groups = class_keys(Config)
    keys: dict[str, Key] = {}
    for name in (item.name for item in fields(Config)):
        if name in OPTIONS:
            default_option = NoAugmentation.name if name == "augmentation" else None
            keys |= group_keys(name, OPTIONS[name], default_option)
        else:
            keys |= {path: item for path, item in keys_without_groups.items() if path.split(".")[0] == name}
    return keys


KEYS = _all_keys()
"""All keys of the configuration by dotted path, including the keys of all options."""
_OPTION_KEYS = {
    (group, name): class_keys(option, f"{group}.") for group in OPTIONS for name, option in OPTIONS[group].items()
}
# The parts of the configuration that decide a job's results; only these can be swept.
JOB_PARTS = (
    *("norm", "reg", "optimizer", "schedule", "data", "augmentation", "model"),
    *("epochs", "seed", "init_seed", "order_seed", "threads", "precision", "deterministic", "nondeterministic"),
)
SOURCES = {
    "init_seed": "initial weights",
    "order_seed": "batch order, dropout and augmentation",
    "data.split_seed": "split into training and validation images",
}
"""The keys that change a run at random, with what each one draws; runs that differ only in them use the same method."""


def affects_results(path: str) -> bool:
    """Whether the key with this dotted path affects a job's results; only such keys can be swept."""
    return path.split(".")[0] in JOB_PARTS


def automatic_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that null stands for, by dotted key, for the network and optimizer that `settings` name."""
    network = NETWORKS.get(settings["model.name"])
    if network is None:
        return {}
    optimizer, rates = settings.get("optimizer.name", ""), network.learning_rates
    automatic = {"epochs": network.epochs, "optimizer.lr": rates.get(optimizer)}
    if optimizer == "muon":
        automatic["optimizer.adam_lr"] = rates.get("adam")
    return {path: value for path, value in automatic.items() if value is not None}


def option_from_stored(group: str, stored: Mapping[str, Any]) -> Any:
    """Return the option that a stored configuration names, without keys that the option no longer has."""
    option = OPTIONS[group][stored["name"]]
    return option(**known_fields(option, stored))


class UnusedKeyError(BadInput):
    """The error for a key that the chosen option of its group does not have, such as norm.groups with norm=bn."""

    def __init__(self, key: Key, value: Any, option: str) -> None:
        self.section = key.path.split(".")[0]
        reading_options = ", ".join(f"{self.section}={name}" for name in key.read_by)
        suggestion = f"{self.section}={key.read_by[0]} {shlex.quote(f'{key.path}={value}')}"
        super().__init__(f"{self.section}={option} does not use {key.path}={value}", reading_options, suggestion)


def optional_packages(config: Config) -> list[str]:
    """Return the optional packages that compute results for this configuration, such as timm."""
    return [package for section in OPTIONS for package in getattr(config, section).packages]


def check_config(config: Config) -> None:
    """Raise BadInput, with the key, its valid values and an example, if a job cannot use this configuration."""
    for path, value in flatten(config).items():
        section, _, name = path.partition(".")
        option = getattr(config, section) if section in OPTIONS else None
        if option is not None and name != "name":
            check_option_key(option.name, section, name, value)
        else:
            KEYS[path].check(value)
    if config.seed and None not in (config.init_seed, config.order_seed):
        problem = f"seed={config.seed} has no effect with init_seed={config.init_seed} order_seed={config.order_seed}"
        raise BadInput(problem, "seed=0, or null for one of the other two", "seed=0")
    config.reg.check(config.optimizer.name)
    stats = getattr(config.norm, "stats", "ema")
    if stats != "ema" and (config.reg.ema or config.optimizer.name == "schedulefree"):
        problem = f"norm.stats={stats} is for the last weights, but evaluation uses averaged weights"
        raise BadInput(problem, "norm.stats=ema: the statistics are recomputed for the average", "norm.stats=ema")
    check_device(config.device)
    if config.execution == "graph" and config.device in ("cpu", "mps"):
        problem = f"execution=graph needs an NVIDIA GPU, but device={config.device}"
        raise BadInput(problem, "auto, eager", "execution=auto")
    for section in OPTIONS:
        getattr(config, section).check()
    norm, network = config.norm, config.model
    if reason := norm_mismatch(norm, network):
        supported = [name for name, kind in NORMS.items() if not norm_mismatch(kind, network)]
        problem = f"norm={norm.name} does not work with model={network.name}: {reason}"
        raise BadInput(problem, ", ".join(supported), "norm=none")
    norm.check_channels(network.norm_channels(), network.layout)
    if config.reg.stochastic_depth and not network.residual:
        networks = ", ".join(f"model={name}" for name, kind in NETWORKS.items() if kind.residual)
        rate = f"reg.stochastic_depth={config.reg.stochastic_depth:g}"
        problem = f"{rate} skips residual blocks, but normlab knows none in model={network.name}"
        raise BadInput(problem, networks, "reg.stochastic_depth=0")
    config.optimizer.check_job(config.schedule.name, config.execution, len(network.norm_channels()))
    if norm.uses_batch and network.layout == "vector" and config.data.batch_size == 1:
        problem = f"norm={norm.name} with model={network.name} cannot normalise a batch of 1 image"
        raise BadInput(problem, "data.batch_size=2 or more", "data.batch_size=64")
    norm.check_training(config.data.batch_size, config.epochs)
    if norm.name == "none" and isinstance(network, ConvolutionalNetwork) and network.weight_standardization:
        problem = "model.weight_standardization=true needs a norm: without one, activations grow from layer to layer"
        norms = [name for name, kind in NORMS.items() if name != "none" and not norm_mismatch(kind, network)]
        raise BadInput(problem, ", ".join(norms), "norm=gn model.weight_standardization=true")
    size = getattr(config.data, "size", None)  # other datasets know the size of their images only after reading them
    if size is not None:
        network.check_images(size, f"data.size={size}")


def norm_mismatch(norm: Norm | type[Norm], network: Network | type[Network]) -> str:
    """Return the reason why a norm does not work with a network; an empty text if it does."""
    if reason := norm.mismatch(network.layout):
        return reason
    if norm.replaces_relu and not network.relu:
        return "it replaces the ReLU after each norm, and this network has another activation"
    return ""


def check_option_key(option: str, section: str, name: str, value: Any) -> None:
    """Raise BadInput if a key of an option, such as `groups` of `gn` in the group `norm`, lacks a valid value."""
    item = _OPTION_KEYS[section, option][f"{section}.{name}"]
    if value == REQUIRED or (value is None and not item.optional):
        raise BadInput(f"{section}={option} needs {item.path}", item.allowed, f"{item.path}={item.placeholder}")
    item.check(value)


def check_device(device: str) -> None:
    """Raise BadInput if a device name is not valid on any machine; the message lists the valid names."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", str(device)):
        raise BadInput(f"device={device} is not known", "auto, cpu, cuda, cuda:N, mps", "device=cpu")
