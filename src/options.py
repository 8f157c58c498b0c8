"""The options of the groups optimizer, schedule and tracking, with their keys and ranges.

Norms, networks and augmentations have one module per option, in `src/norms`, `src/models` and `src/augmentation`; the
datasets are in `src/datasets.py`.  This module imports only the standard library.  The values of the keys are in
`conf/GROUP/OPTION.yaml`.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar

from src.bad_input import BadInput
from src.schema import Option, key, options_by_name


@dataclass
class Optimizer(Option):
    """The optimizer, which changes the weights after each batch."""

    lr: float = key(at_least=1e-12, automatic=True)  # a smaller rate changes no float32 weight
    capturable: ClassVar[bool] = True
    """Whether a CUDA graph can repeat the optimizer's step."""

    def check_job(self, schedule: str, execution: str, layers: int) -> None:
        """Raise BadInput if the optimizer cannot train a network with this many norm layers in this way."""


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
class NAdam(Adam):
    """NAdam: Adam with Nesterov's look-ahead.

    The numerator of Adam's step, m / (1 - beta1^t), becomes mu' m / (1 - P mu') + (1 - mu) g / (1 - P).  The momentum
    rises during training, mu = beta1 (1 - 0.96^(t momentum_decay) / 2).  mu' is the next step's, and P is the product
    of all mu so far.
    Evaluation: the weights as they are.  Good values: the learning rate of adam.  With the default, mu starts at
    beta1 / 2 and reaches 0.9 beta1 only after 10,000 steps, so a short training has less momentum than with adam.
    Dozat 2016, "Incorporating Nesterov Momentum into Adam" (ICLR workshop; not on arXiv), algorithm 2.
    """

    name: str = "nadam"
    momentum_decay: float = key(at_least=0, at_most=1)


@dataclass
class Muon(Adam):
    """Muon: steps along the orthogonalised momentum of each matrix, and Adam for all other parameters.

    A hidden weight is a matrix W (out, in); that of a convolution is (out, in * k * k).  Its step is
    W <- W - lr sqrt(max(1, out / in)) U V^T, where U S V^T is the momentum.  Five Newton-Schulz iterations
    approximate U V^T: they bring most singular values to 0.7 to 1.2.  As its author recommends, Adam trains the first
    and the last weight, gains and biases, with the learning rate `adam_lr`.
    Evaluation: the weights as they are.  Good values: lr 0.02 (the author's) to 0.2, momentum 0.95; airbench94 has
    momentum 0.6.  A step of a wide network takes longer, and a network with few hidden weights gains little.
    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; for large models Liu et al. 2025, arXiv 2502.16982.
    """

    name: str = "muon"
    adam_lr: float = key(at_least=1e-12, automatic=True)
    momentum: float = key(at_least=0, below=1)
    nesterov: bool = key()

    def check_job(self, schedule: str, execution: str, layers: int) -> None:
        """Raise BadInput if the network has no weight between the first and the last one."""
        if layers < 2:
            problem = "optimizer=muon trains hidden weights, and this network has none between its first and its last"
            raise BadInput(problem, "a network with two or more hidden layers", "optimizer=adam")


@dataclass
class Lion(Optimizer):
    """Lion: equally long steps, along the sign of the momentum.

    w <- w - lr * sign(beta1 m + (1 - beta1) g), and then m <- beta2 m + (1 - beta2) g.  So every weight moves by lr.
    Evaluation: the weights as they are.  Good values: a learning rate 2 to 10 times smaller than adam's, and a weight
    decay as many times larger.  Lion suffers from small batches: the sign of a noisy gradient has the same size.
    Chen et al. 2023, arXiv 2302.06675, algorithm 2.
    """

    name: str = "lion"
    beta1: float = key(at_least=0, below=1)
    beta2: float = key(at_least=0, below=1)


@dataclass
class ScheduleFree(Adam):
    """Schedule-free AdamW: averages the weights instead of a schedule.

    The gradient is computed at y = (1 - beta1) z + beta1 x.  Adam's step without momentum changes z, and x is the
    average of all z.  The learning rate rises from 0 to `lr` in the first `warmup_steps` steps.
    Evaluation: the averaged weights x, with a BatchNorm's statistics computed for them.  Good values: a learning rate
    1 to 10 times adam's, beta1 0.9 to 0.98.  It fails without `schedule=constant`, which the average replaces.  Its
    step uses Python numbers, so a GPU runs it without CUDA graphs.
    Defazio et al. 2024, arXiv 2405.15682; the package schedulefree is by its authors.
    """

    name: str = "schedulefree"
    warmup_steps: int = key(at_least=0)
    capturable = False

    def check(self) -> None:
        """Raise BadInput if the package schedulefree is missing, or if the average has no weight in the gradient."""
        if find_spec("schedulefree") is None:
            problem = "optimizer=schedulefree needs the package schedulefree"
            raise BadInput(problem, write="pip install 'normlab[schedulefree]'")
        if not self.beta1:
            problem = "optimizer=schedulefree averages nothing with optimizer.beta1=0"
            raise BadInput(problem, "above 0 and below 1", "optimizer.beta1=0.9")

    def check_job(self, schedule: str, execution: str, layers: int) -> None:
        """Raise BadInput for a schedule that is not constant, and for CUDA graphs."""
        if schedule != "constant":
            problem = f"optimizer=schedulefree averages the weights instead of a schedule, so not schedule={schedule}"
            raise BadInput(problem, "schedule=constant", "optimizer=schedulefree schedule=constant")
        if execution == "graph":
            problem = "execution=graph would repeat the Python numbers in a step of optimizer=schedulefree"
            raise BadInput(problem, "auto, eager", "execution=auto")


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


OPTIMIZERS = options_by_name(SGD, Adam, AdamW, RMSprop, NAdam, Muon, Lion, ScheduleFree)
SCHEDULES = options_by_name(Constant, Step, Cosine, OneCycle)
TRACKERS = options_by_name(Tracking, NoTracking)
