"""The options of the groups optimizer, schedule, data and tracking, with their keys and ranges.

Norms, networks and augmentations have one module per option, in `src/norms`, `src/models` and `src/augmentation`.  This
module imports only the standard library.  The values of the keys are in `conf/GROUP/OPTION.yaml`.
"""

from dataclasses import dataclass
from typing import ClassVar

from src.bad_input import BadInput
from src.schema import Option, key, options_by_name


@dataclass
class Optimizer(Option):
    """The optimizer, which changes the weights after each batch."""

    lr: float = key(at_least=1e-12, automatic=True)  # a smaller rate changes no float32 weight
    step_penalties: ClassVar[tuple[str, ...]] = ()
    """The penalties (`l1`, `l2`) that the optimizer applies itself, so the loss excludes them."""


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
    """The AdamW optimizer (Loshchilov & Hutter 2019), which uses `reg.l2` as its weight decay."""

    name: str = "adamw"
    step_penalties = ("l2",)


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


@dataclass(unsafe_hash=True)  # the cache of loaded datasets needs the hash
class Data(Option):
    """The dataset, its batch size and its split into training and validation images."""

    batch_size: int = key(at_least=1)
    validation: int | None = key(at_least=1)  # null: the dataset's own validation images, or a tenth of the others
    split_seed: int = key(at_least=0, at_most=2**32 - 1)
    limit: int | None = key(None, at_least=1)
    shows_characters: ClassVar[bool] = False
    """Whether the images show digits or letters; a mirrored digit or letter is another character or none."""


@dataclass(unsafe_hash=True)
class DataFiles(Data):
    """A dataset that is read from files in the folder `root`."""

    root: str | None = key(None)


@dataclass(unsafe_hash=True)
class MNIST(DataFiles):
    """MNIST, pictures of handwritten digits; without `root`, normlab reads the copy in its own package."""

    name: str = "mnist"
    shows_characters = True


@dataclass(unsafe_hash=True)
class FashionMNIST(DataFiles):
    """Fashion-MNIST, pictures of clothes and bags."""

    name: str = "fashion_mnist"


@dataclass(unsafe_hash=True)
class KMNIST(DataFiles):
    """KMNIST, pictures of handwritten cursive Japanese characters."""

    name: str = "kmnist"
    shows_characters = True


@dataclass(unsafe_hash=True)
class CIFAR10(DataFiles):
    """CIFAR-10, colour photographs of animals and vehicles."""

    name: str = "cifar10"


@dataclass(unsafe_hash=True)
class CIFAR100(DataFiles):
    """CIFAR-100, colour photographs of 100 kinds of animals, plants, people and things."""

    name: str = "cifar100"


@dataclass(unsafe_hash=True)
class SVHN(DataFiles):
    """SVHN, colour photographs of house numbers, each cut out around one digit."""

    name: str = "svhn"


@dataclass(unsafe_hash=True)
class EMNIST(DataFiles):
    """EMNIST, pictures of handwritten letters and digits, in six versions."""

    name: str = "emnist"
    emnist_split: str = key(choices=("balanced", "letters", "digits", "mnist", "byclass", "bymerge"))


@dataclass(unsafe_hash=True)
class OwnFiles(DataFiles):
    """A dataset of the user's, so `root` has no default."""

    wanted: ClassVar[str]  # describes `root`

    def check(self) -> None:
        """Raise BadInput if `root` is missing."""
        if self.root is None:
            raise BadInput(f"data={self.name} needs {self.wanted}", write=f"data={self.name} data.root=FOLDER")


@dataclass(unsafe_hash=True)
class IDX(OwnFiles):
    """A dataset of four IDX files, which is MNIST's format."""

    name: str = "idx"
    wanted = "a folder with the four IDX files"


@dataclass(unsafe_hash=True)
class Folder(OwnFiles):
    """Image files in the folders `train/CLASS` and `test/CLASS`, which is the layout of torchvision's ImageFolder."""

    name: str = "folder"
    size: int = key(at_least=8, at_most=1024, example="32")
    channels: int | None = key(None, choices=("1", "3"))
    wanted = "a folder that contains train/CLASS and test/CLASS with image files"


@dataclass(unsafe_hash=True)
class NPZ(OwnFiles):
    """Arrays in one .npz file with the names that MedMNIST uses."""

    name: str = "npz"
    wanted = "an .npz file with the arrays train_images, train_labels, test_images and test_labels"


@dataclass(unsafe_hash=True)
class Synthetic(Data):
    """Random images with a pattern per class, which need no files."""

    name: str = "synthetic"
    classes: int = key(at_least=2, at_most=100)
    channels: int = key(choices=("1", "3"))
    size: int = key(at_least=8, at_most=1024, example="28")
    images: int = key(at_least=1)
    test_images: int = key(at_least=1)
    noise: float = key(at_least=0)

    def check(self) -> None:
        """Raise BadInput if the coarse patterns, which have 4 x 4 squares, do not fill the image."""
        if self.size % 4:
            raise BadInput(f"data.size={self.size} cannot be used", "a multiple of 4 from 8 to 1024", "data.size=28")


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
DATASETS = options_by_name(MNIST, FashionMNIST, KMNIST, EMNIST, CIFAR10, CIFAR100, SVHN, IDX, Folder, NPZ, Synthetic)
TRACKERS = options_by_name(Tracking, NoTracking)
