"""The configuration: every key with its type, unit and range, and the check that a job passes before it starts.

Standard library only: a mistyped command is answered before anything heavy is imported.  The values stand in
`conf/*.yaml`.  A default here means "off": it never changes, so that new keys leave the identity of old jobs alone
(`src/runs/identity.py`); a key without one always has its value from the YAML files.
"""

import dataclasses
import re
import shlex
from dataclasses import dataclass, field
from typing import Any

from src.bad_input import BadInput
from src.models.layers import layers
from src.schema import REQUIRED, Key, flat, key, schema


@dataclass
class Norm:
    """Which values are averaged to normalise an activation."""

    name: str = key(choices=("none", "bn", "gn", "ln", "in"))
    eps: float | None = key(None, above=0, at_most=1000, read_by=("bn", "gn", "ln", "in"))
    momentum: float | None = key(None, above=0, at_most=1, read_by=("bn",))
    groups: int | None = key(None, at_least=1, read_by=("gn",))


@dataclass
class Regularization:
    """What keeps the weights small or the network unsure."""

    l1: float = key(0.0, at_least=0)
    l2: float = key(0.0, at_least=0)
    dropout: float = key(0.0, at_least=0, at_most=0.999)
    label_smoothing: float = key(0.0, at_least=0, at_most=0.999)


@dataclass
class Optimizer:
    """How a gradient becomes a step."""

    name: str = key(choices=("sgd", "adam", "adamw", "rmsprop"))
    lr: float = key(at_least=1e-12)  # below it no float32 weight moves
    momentum: float | None = key(None, at_least=0, below=1, read_by=("sgd", "rmsprop"))
    nesterov: bool | None = key(None, read_by=("sgd",))
    beta1: float | None = key(None, at_least=0, below=1, read_by=("adam", "adamw"))
    beta2: float | None = key(None, at_least=0, below=1, read_by=("adam", "adamw"))
    alpha: float | None = key(None, at_least=0, below=1, read_by=("rmsprop",))
    eps: float | None = key(None, above=0, at_most=1000, read_by=("adam", "adamw", "rmsprop"))


@dataclass
class Schedule:
    """How the learning rate changes from step to step."""

    name: str = key(choices=("constant", "step", "cosine", "onecycle"))
    step_epochs: int | None = key(None, at_least=1, read_by=("step",))
    gamma: float | None = key(None, above=0, at_most=1, read_by=("step",))
    warmup: float | None = key(None, above=0, below=1, read_by=("onecycle",))


@dataclass
class Data:
    """Which images, and how they are dealt out."""

    name: str = key(choices=("mnist", "fashion_mnist", "kmnist", "cifar10", "idx", "synthetic"))
    root: str | None = key(None, read_by=("mnist", "fashion_mnist", "kmnist", "cifar10", "idx"), null=True)
    batch_size: int = key(at_least=1)
    validation: int = key(at_least=1)
    split_seed: int = key(at_least=0, at_most=2**32 - 1)
    limit: int | None = key(None, at_least=1)
    classes: int | None = key(None, at_least=2, at_most=100, read_by=("synthetic",))
    channels: int | None = key(None, read_by=("synthetic",), choices=("1", "3"))
    size: int | None = key(None, read_by=("synthetic",), choices=("28", "32"))
    images: int | None = key(None, at_least=1, read_by=("synthetic",))
    test_images: int | None = key(None, at_least=1, read_by=("synthetic",))
    noise: float | None = key(None, at_least=0, read_by=("synthetic",))


@dataclass
class Model:
    """The network that every method is tried in."""

    name: str = key(choices=("cnn",))
    width: int = key(at_least=1, at_most=1024)


@dataclass
class Tracking:
    """Where MLflow keeps the runs; never part of what a job is."""

    name: str = key(choices=("sqlite", "none"))
    uri: str | None = key(None, read_by=("sqlite",), null=True)
    experiment: str | None = key(None, read_by=("sqlite",))
    system_metrics: bool = key(False, read_by=("sqlite",))


@dataclass
class SweepLimits:
    """What one command may ask for, how its grid is made and when it ends early; never part of what a job is."""

    max_jobs: int = key(200, at_least=1)
    cells: list[str] = key([], example='["norm=none","norm=gn norm.groups=2,4"]')  # noqa: RUF009  # a list of its own
    on_failure: str = key("continue", choices=("continue", "stop"))
    same_failures: int = key(3, at_least=1)


@dataclass
class Config:
    """One job, where it is tracked, and what is done with those that were there before."""

    norm: Norm = field(default_factory=Norm)
    reg: Regularization = field(default_factory=Regularization)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    tracking: Tracking = field(default_factory=Tracking)
    sweep: SweepLimits = field(default_factory=SweepLimits)
    epochs: int = key(at_least=1)
    seed: int = key(at_least=0, at_most=2**32 - 1)
    seeds: int | None = key(None, at_least=1, at_most=2**32)  # short for a range of `seed`; a job's own is null
    threads: int = key(at_least=1, at_most=1024)
    precision: str = key("float32", choices=("float32", "bfloat16"))
    deterministic: bool = key(False)
    device: str = key("auto", example="auto")
    resume: str = key("auto", choices=("auto", "restart"))
    plan: bool = key(False)


KEYS = schema(Config)
SECTIONS = tuple(item.name for item in dataclasses.fields(Config) if f"{item.name}.name" in KEYS)
# What a job is: nothing else enters its identity, and nothing else can be swept.
JOB = (
    *("norm", "reg", "optimizer", "schedule", "data", "model"),
    *("epochs", "seed", "threads", "precision", "deterministic"),
)


def part_of_a_job(path: str) -> bool:
    """Whether a dotted key decides what a job computes."""
    return path.split(".")[0] in JOB


class NotRead(BadInput):
    """A key stands beside an option that does not read it."""

    def __init__(self, item: Key, value: Any, section: str, option: Any) -> None:
        self.section = section
        readers = ", ".join(f"{section}={name}" for name in item.read_by)
        write = f"{section}={item.read_by[0]} {shlex.quote(f'{item.path}={value}')}"
        super().__init__(f"{item.path}={value}: {section}={option} does not read it", f"with {readers}", write)


def check(config: Config) -> None:
    """Refuse a job that could not be trained as it is written.

    Raises:
        BadInput: naming the key, its value, what is allowed and how to write it.
    """
    values = flat(config)
    for path, item in KEYS.items():
        section = path.split(".")[0]
        option = values.get(f"{section}.name")
        if item.read_by and option not in item.read_by:
            if values[path] != item.default:
                raise NotRead(item, values[path], section, option)
        elif values[path] == REQUIRED or (values[path] is None and item.read_by and not item.may_be_null):
            raise BadInput(f"{section}={option} needs {path}", item.allowed, f"{path}={item.placeholder}")
        else:
            item.check(values[path])
    check_device(config.device)
    if config.data.name == "idx" and config.data.root is None:
        raise BadInput("data=idx needs a folder with the four IDX files", write="data=idx data.root=FOLDER")
    if config.optimizer.nesterov and not config.optimizer.momentum:
        raise BadInput("optimizer.nesterov=true needs a momentum", "above 0", "optimizer.momentum=0.9")
    if config.norm.groups is not None:
        _check_groups(config.norm.groups, config.model.width)


def check_device(device: str) -> None:
    """Refuse the name of a device that there is nowhere.

    Raises:
        BadInput: with the names that there are.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", str(device)):
        raise BadInput(f"device={device} is not known", "auto, cpu, cuda, cuda:N, mps", "device=cpu")


def _check_groups(groups: int, width: int) -> None:
    for layer in layers(width):
        if layer.channels % groups:
            divisors = [n for n in range(1, layer.channels + 1) if layer.channels % n == 0]
            raise BadInput(
                f"norm.groups={groups} does not divide the {layer.channels} channels of layer {layer.name}",
                ", ".join(map(str, divisors)),
                f"norm=gn norm.groups={max(n for n in divisors if n < groups)}",
            )
