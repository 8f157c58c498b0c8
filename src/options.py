"""The options of the groups optimizer, schedule and tracking, with their keys and ranges.

Norms, networks and augmentations have one module per option, in `src/norms`, `src/models` and `src/augmentation`; the
datasets are in `src/datasets.py`.  This module imports only the standard library.  The values of the keys are in
`conf/GROUP/OPTION.yaml`.
"""

from dataclasses import dataclass

from src.bad_input import BadInput
from src.schema import Option, key, options_by_name


@dataclass
class Optimizer(Option):
    """The optimizer, which changes the weights after each batch."""

    lr: float = key(at_least=1e-12, automatic=True)  # a smaller rate changes no float32 weight


@dataclass
class SGD(Optimizer):
    """Stochastic gradient descent with momentum, optionally with Nesterov's method."""

    name: str = "sgd"
    momentum: float = key(at_least=0, below=1)
    nesterov: bool = key()

    def check(self) -> None:
        """Raise BadInput for Nesterov's method without momentum."""
        if self.nesterov and not self.momentum:
            raise BadInput("optimizer.nesterov=true needs a momentum", "above 0", "optimizer.momentum=0.9")


@dataclass
class Adam(Optimizer):
    """The Adam optimizer (Kingma & Ba 2015)."""

    name: str = "adam"
    beta1: float = key(at_least=0, below=1)
    beta2: float = key(at_least=0, below=1)
    eps: float = key(above=0, at_most=1000)


@dataclass
class AdamW(Adam):
    """The AdamW optimizer (Loshchilov & Hutter 2019): Adam, with torch's own step for `reg.weight_decay`."""

    name: str = "adamw"


@dataclass
class RMSprop(Optimizer):
    """The RMSprop optimizer (Tieleman & Hinton 2012)."""

    name: str = "rmsprop"
    momentum: float = key(at_least=0, below=1)
    alpha: float = key(at_least=0, below=1)
    eps: float = key(above=0, at_most=1000)


@dataclass
class Schedule(Option):
    """The learning-rate schedule, which changes the learning rate after each batch."""


@dataclass
class Constant(Schedule):
    """A constant learning rate."""

    name: str = "constant"


@dataclass
class Step(Schedule):
    """A learning rate that is multiplied by `gamma` every `step_epochs` epochs."""

    name: str = "step"
    step_epochs: int = key(at_least=1)
    gamma: float = key(above=0, at_most=1)


@dataclass
class Cosine(Schedule):
    """A learning rate that falls to zero along half a cosine (Loshchilov & Hutter 2017)."""

    name: str = "cosine"


@dataclass
class OneCycle(Schedule):
    """A learning rate that rises for the share `warmup` of training, then falls almost to zero (Smith & Topin 2018)."""

    name: str = "onecycle"
    warmup: float = key(above=0, below=1)


@dataclass
class TrackingOption(Option):
    """The store that runs are logged to; it does not affect a job's results."""


@dataclass
class Tracking(TrackingOption):
    """Tracking of runs in an MLflow store."""

    name: str = "sqlite"
    uri: str | None = key(None)
    experiment: str = key()
    system_metrics: bool = key(False)


@dataclass
class NoTracking(TrackingOption):
    """No tracking of runs in MLflow."""

    name: str = "none"


OPTIMIZERS = options_by_name(SGD, Adam, AdamW, RMSprop)
SCHEDULES = options_by_name(Constant, Step, Cosine, OneCycle)
TRACKERS = options_by_name(Tracking, NoTracking)
