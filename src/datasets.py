"""The options of the group data, with their keys and ranges.

This module imports only the standard library.  The values of the keys are in `conf/data/OPTION.yaml`.
"""

from dataclasses import dataclass
from typing import ClassVar

from src.bad_input import BadInput
from src.schema import Option, key, options_by_name


@dataclass(unsafe_hash=True)  # the cache of loaded datasets needs the hash
class Data(Option):
    """The dataset, its batch size and its split into training and validation images."""

    batch_size: int = key(at_least=1)
    validation: int | None = key(at_least=1)  # null: the dataset's own validation images, or a tenth of the others
    split_seed: int = key(at_least=0, at_most=2**32 - 1)
    limit: int | None = key(None, at_least=1)
    label_noise: float = key(0.0, at_least=0, at_most=1)
    noise_seed: int = key(0, at_least=0, at_most=2**32 - 1)
    shows_characters: ClassVar[bool] = False
    """Whether the images show digits or letters; a mirrored digit or letter is another character or none."""

    def check(self) -> None:
        """Raise BadInput for a seed of noise that is off, because such jobs would be equal."""
        if self.noise_seed and not self.label_noise:
            problem = f"data.noise_seed={self.noise_seed} has no effect with data.label_noise=0"
            raise BadInput(problem, "data.noise_seed=0, or a data.label_noise above 0", "data.noise_seed=0")


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
    shows_characters = True


@dataclass(unsafe_hash=True)
class EMNIST(DataFiles):
    """EMNIST, pictures of handwritten letters and digits, in six versions."""

    name: str = "emnist"
    shows_characters = True
    emnist_split: str = key(choices=("balanced", "letters", "digits", "mnist", "byclass", "bymerge"))


@dataclass(unsafe_hash=True)
class OwnFiles(DataFiles):
    """A dataset of the user's, so `root` has no default."""

    wanted: ClassVar[str]  # describes `root`

    def check(self) -> None:
        """Raise BadInput if `root` is missing."""
        super().check()
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
    channels: int | None = key(None, choices=("1", "3"))
    size: int = key(at_least=8, at_most=1024, example="32")
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
        super().check()
        if self.size % 4:
            raise BadInput(f"data.size={self.size} cannot be used", "a multiple of 4 from 8 to 1024", "data.size=28")


DATASETS = options_by_name(MNIST, FashionMNIST, KMNIST, EMNIST, CIFAR10, CIFAR100, SVHN, IDX, NPZ, Synthetic, Folder)
