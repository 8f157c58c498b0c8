"""The options of the optimizer, schedule, data and tracking groups: their keys and ranges.

Norms, networks and augmentations have a module for each option, in `src/norms`, `src/models` and `src/augmentation`.
Standard library only.  The values are in `conf/GROUP/OPTION.yaml`.
"""

from dataclasses import dataclass
from typing import ClassVar

from src.bad_input import BadInput
from src.schema import Option, key, named


@dataclass
class Optimizer(Option):
    """How a gradient becomes a step."""

    lr: float = key(at_least=1e-12)  # below it no float32 weight moves
    step_penalties: ClassVar[tuple[str, ...]] = ()
    """The penalties, `l1` or `l2`, that the optimizer applies in its step; the loss leaves them out."""


@dataclass
class SGD(Optimizer):
    """Stochastic gradient descent."""

    name: str = "sgd"
    momentum: float = key(at_least=0, below=1)
    nesterov: bool = key()

    def check(self) -> None:
        """Refuse Nesterov's method without momentum."""
        if self.nesterov and not self.momentum:
            raise BadInput("optimizer.nesterov=true needs a momentum", "above 0", "optimizer.momentum=0.9")


@dataclass
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015)."""

    name: str = "adam"
    beta1: float = key(at_least=0, below=1)
    beta2: float = key(at_least=0, below=1)
    eps: float = key(above=0, at_most=1000)


@dataclass
class AdamW(Adam):
    """AdamW (Loshchilov & Hutter 2019)."""

    name: str = "adamw"
    step_penalties = ("l2",)


@dataclass
class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012)."""

    name: str = "rmsprop"
    momentum: float = key(at_least=0, below=1)
    alpha: float = key(at_least=0, below=1)
    eps: float = key(above=0, at_most=1000)


@dataclass
class Schedule(Option):
    """How the learning rate changes from step to step."""


@dataclass
class Constant(Schedule):
    """A learning rate that never changes."""

    name: str = "constant"


@dataclass
class Step(Schedule):
    """A learning rate that is multiplied by `gamma` every `step_epochs` epochs."""

    name: str = "step"
    step_epochs: int = key(at_least=1)
    gamma: float = key(above=0, at_most=1)


@dataclass
class Cosine(Schedule):
    """Half a cosine down to zero (Loshchilov & Hutter 2017)."""

    name: str = "cosine"


@dataclass
class OneCycle(Schedule):
    """Up, then down to almost zero (Smith & Topin 2018)."""

    name: str = "onecycle"
    warmup: float = key(above=0, below=1)


@dataclass(unsafe_hash=True)  # the last dataset stays in a cache, by its options
class Data(Option):
    """The images, and how they are split into batches and validation."""

    batch_size: int = key(at_least=1)
    validation: int = key(at_least=1)
    split_seed: int = key(at_least=0, at_most=2**32 - 1)
    limit: int | None = key(None, at_least=1)


@dataclass(unsafe_hash=True)
class DataFiles(Data):
    """Images that are read from files in `root`."""

    root: str | None = key(None)


@dataclass(unsafe_hash=True)
class MNIST(DataFiles):
    """Handwritten digits; without `root`, the copy in the package."""

    name: str = "mnist"


@dataclass(unsafe_hash=True)
class FashionMNIST(DataFiles):
    """Pieces of clothing."""

    name: str = "fashion_mnist"


@dataclass(unsafe_hash=True)
class KMNIST(DataFiles):
    """Cursive Japanese characters."""

    name: str = "kmnist"


@dataclass(unsafe_hash=True)
class CIFAR10(DataFiles):
    """Colour photographs."""

    name: str = "cifar10"


@dataclass(unsafe_hash=True)
class IDX(DataFiles):
    """Four files in MNIST's format."""

    name: str = "idx"

    def check(self) -> None:
        """Refuse a missing folder: there is no default."""
        if self.root is None:
            raise BadInput("data=idx needs a folder with the four IDX files", write="data=idx data.root=FOLDER")


@dataclass(unsafe_hash=True)
class Synthetic(Data):
    """Random images that need no files."""

    name: str = "synthetic"
    classes: int = key(at_least=2, at_most=100)
    channels: int = key(choices=("1", "3"))
    size: int = key(choices=("28", "32"))
    images: int = key(at_least=1)
    test_images: int = key(at_least=1)
    noise: float = key(at_least=0)


@dataclass
class TrackingOption(Option):
    """Where the runs are logged; never part of a job's identity."""


@dataclass
class Tracking(TrackingOption):
    """An MLflow store."""

    name: str = "sqlite"
    uri: str | None = key(None)
    experiment: str = key()
    system_metrics: bool = key(False)


@dataclass
class NoTracking(TrackingOption):
    """No MLflow."""

    name: str = "none"


OPTIMIZERS = named(SGD, Adam, AdamW, RMSprop)
SCHEDULES = named(Constant, Step, Cosine, OneCycle)
DATASETS = named(MNIST, FashionMNIST, KMNIST, CIFAR10, IDX, Synthetic)
TRACKERS = named(Tracking, NoTracking)
