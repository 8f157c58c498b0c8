"""Where images come from: every dataset as arrays of bytes, and the digest that names it."""

import functools
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.bad_input import BadInput
from src.config import Data
from src.data.idx import Bytes, find_idx, parse_idx, read_bytes, sha256
from src.data.synthetic import make_images

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
EMBEDDED = Path(__file__).parent / "mnist"
# SHA-256 of the unpacked files, in the order of FILES (src/data/mnist/README.md).
MNIST_DIGESTS = (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)


@dataclass(frozen=True)
class Source:
    """What is known of a dataset without its images.

    `digest` names its content (hexadecimal), `place` says where it was read from.
    """

    digest: str
    place: str
    train: int  # images in the training file, validation included
    test: int
    channels: int
    size: int  # pixels a side
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Images:
    """A dataset: images (N, C, H, W) and labels (N,), both of unsigned bytes, in the order of its files."""

    source: Source
    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def describe(data: Data) -> Source:
    """A dataset's digest and sizes: without reading it for the embedded MNIST, which is known by its digests.

    Raises:
        BadInput: where the files are missing, unreadable, damaged or not what they are said to be.
    """
    if data.name == "mnist" and data.root is None:
        return Source(_joint_digest(MNIST_DIGESTS), str(EMBEDDED), 60_000, 10_000, 1, 28, DIGITS)
    return load(data).source


def load(data: Data) -> Images:
    """A dataset's images; the last one read stays in memory.

    Raises:
        BadInput: where the files are missing, unreadable, damaged or not what they are said to be.
    """
    relevant = (data.name, data.root, data.classes, data.channels, data.size, data.images, data.test_images, data.noise)
    return _load(*relevant)


@functools.lru_cache(maxsize=1)
def _load(name: str, root: str | None, *synthetic: Any) -> Images:
    return {
        "mnist": lambda: _idx(Path(root) if root else EMBEDDED, "MNIST", DIGITS, MNIST_DIGESTS),
        "fashion_mnist": lambda: _torchvision_idx("FashionMNIST", root, CLOTHES),
        "kmnist": lambda: _torchvision_idx("KMNIST", root, KANA),
        "cifar10": lambda: _cifar10(root),
        "idx": lambda: _idx(Path(root or "."), "", None, None),
        "synthetic": lambda: _synthetic(*synthetic),
    }[name]()


def _joint_digest(digests: tuple[str, ...]) -> str:
    return sha256("".join(digests).encode())


def _idx(root: Path, folder: str, classes: tuple[str, ...] | None, published: tuple[str, ...] | None) -> Images:
    """The four IDX files below a folder, held against the published digests where there are any."""
    root = root.expanduser()
    arrays, digests = [], []
    for position, name in enumerate(FILES):
        path = find_idx(root, name, folder)
        content = read_bytes(path)
        digests.append(sha256(content))
        arrays.append(parse_idx(content, 3 if "images" in name else 1, path))
        if published and digests[-1] != published[position]:
            raise BadInput(
                f"{path} is not the published {folder} file: SHA-256 {digests[-1][:16]}...",
                f"{published[position][:16]}... (unpacked)",
                f"copy it again, or read it as it is: data=idx data.root={path.parent}",
            )
    train_images, train_labels, test_images, test_labels = arrays
    names = classes or tuple(str(label) for label in range(int(max(train_labels.max(initial=0), 1)) + 1))
    for split, images, labels in (("train", train_images, train_labels), ("t10k", test_images, test_labels)):
        _check_labels(f"{root}, {split}", images, labels, len(names))
    return _images(
        _joint_digest(tuple(digests)),
        str(root.resolve()),
        names,
        (train_images[:, None], train_labels, test_images[:, None], test_labels),
    )


def _check_labels(split: str, images: Bytes, labels: Bytes, classes: int) -> None:
    if len(images) == 0 or len(images) != len(labels):
        raise BadInput(f"{split}: {len(images):,} images, {len(labels):,} labels", "as many of both, at least one")
    if labels.max() >= classes:
        raise BadInput(f"{split}: label {labels.max()}", f"0 to {classes - 1}, the labels of the training file")


def _images(digest: str, place: str, classes: tuple[str, ...], arrays: tuple[Bytes, Bytes, Bytes, Bytes]) -> Images:
    channels, size, width = arrays[0].shape[1:]
    if arrays[2].shape[1:] != (channels, size, width) or size != width or size not in (28, 32):
        raise BadInput(
            f"{place}: images of {arrays[0].shape[1:]} and {arrays[2].shape[1:]}",
            "28 x 28 or 32 x 32 pixels, all alike",
        )
    source = Source(digest, place, len(arrays[0]), len(arrays[2]), channels, size, classes)
    return Images(source, *arrays)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "normlab"


def _download(name: str, root: Path, make: Callable[[Any], Any]) -> Any:
    """What torchvision downloads and verifies; a clear sentence where it cannot."""
    import torchvision

    before = set(root.iterdir()) if root.is_dir() else None
    try:
        root.mkdir(parents=True, exist_ok=True)
        return make(getattr(torchvision.datasets, name))
    except (OSError, RuntimeError) as error:
        _remove_new(root, before)
        reason = str(error).strip().splitlines()[-1]
        raise BadInput(
            f"{name} is not in {root} and could not be downloaded: {reason}",
            "a network, or the files that torchvision would download",
            "data.root=FOLDER",
        ) from error


def _remove_new(root: Path, before: set[Path] | None) -> None:
    """Take away what a broken download has made; `before` is what stood in `root`, None where it did not exist."""
    if before is None:
        shutil.rmtree(root, ignore_errors=True)
        return
    for path in set(root.iterdir()) - before:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _torchvision_idx(name: str, root: str | None, classes: tuple[str, ...]) -> Images:
    """Fashion-MNIST and KMNIST: torchvision fetches the packed files and checks their MD5, and they are read here."""
    folder = Path(root).expanduser() if root else _cache()
    try:
        for file in FILES:
            find_idx(folder, file, name)
    except BadInput:
        _download(name, folder, lambda dataset: dataset(folder, download=True))
    return _idx(folder, name, classes, None)


def _cifar10(root: str | None) -> Images:
    """CIFAR-10 through torchvision, which checks the MD5 of each file before it reads it."""
    folder = Path(root).expanduser() if root else _cache()
    train = _download("CIFAR10", folder, lambda dataset: dataset(folder, train=True, download=True))
    test = _download("CIFAR10", folder, lambda dataset: dataset(folder, train=False, download=True))
    arrays = []
    for part in (train, test):
        arrays.append(np.ascontiguousarray(part.data.transpose(0, 3, 1, 2)))  # (N, H, W, C) -> (N, C, H, W)
        arrays.append(np.array(part.targets, dtype=np.uint8))
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    train_images, train_labels, test_images, test_labels = arrays
    return _images(
        digest, str(folder.resolve()), tuple(train.classes), (train_images, train_labels, test_images, test_labels)
    )


def _synthetic(classes: int, channels: int, size: int, images: int, test_images: int, noise: float) -> Images:
    train = make_images(images, classes, channels, size, noise, stream="train")
    test = make_images(test_images, classes, channels, size, noise, stream="test")
    digest = hashlib.sha256(b"".join(array.tobytes() for array in (*train, *test))).hexdigest()
    return _images(digest, "made up", tuple(str(label) for label in range(classes)), (*train, *test))
