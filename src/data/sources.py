"""Load a dataset by its name."""

import functools
import hashlib
from pathlib import Path
from typing import Any

from src.config import Data
from src.data.downloads import download_folder, read_cifar10, read_mnist_relative
from src.data.idx_folder import PUBLISHED, joint_digest, read_folder
from src.data.images import Images, Source, as_images
from src.data.synthetic import make_images

EMBEDDED = Path(__file__).parent / "mnist"
DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def describe(data: Data) -> Source:
    """Return a dataset's digest and sizes, like `load`, but without reading the embedded MNIST."""
    if data.name == "mnist" and data.root is None:
        return Source(joint_digest(PUBLISHED["MNIST"]), str(EMBEDDED), 60_000, 10_000, 1, 28, DIGITS)
    return load(data).source


def load(data: Data) -> Images:
    """Return a dataset's images; the latest one stays in memory.

    Raises:
        BadInput: if files are missing, unreadable, damaged or not the published ones.
    """
    synthetic = (data.classes, data.channels, data.size, data.images, data.test_images, data.noise)
    return _load(data.name, data.root, *synthetic)


@functools.lru_cache(maxsize=1)
def _load(name: str, root: str | None, *synthetic: Any) -> Images:
    folder = download_folder(root)
    return {
        "mnist": lambda: read_folder(folder if root else EMBEDDED, "MNIST", DIGITS),
        "fashion_mnist": lambda: read_mnist_relative("FashionMNIST", folder, CLOTHES),
        "kmnist": lambda: read_mnist_relative("KMNIST", folder, KANA),
        "cifar10": lambda: read_cifar10(folder),
        "idx": lambda: read_folder(folder, "", None),
        "synthetic": lambda: _synthetic(*synthetic),
    }[name]()


def _synthetic(classes: int, channels: int, size: int, images: int, test_images: int, noise: float) -> Images:
    train = make_images(images, classes, channels, size, noise, stream="train")
    test = make_images(test_images, classes, channels, size, noise, stream="test")
    digest = hashlib.sha256(b"".join(array.tobytes() for array in (*train, *test))).hexdigest()
    return as_images(digest, "made up", tuple(str(label) for label in range(classes)), train, test)
