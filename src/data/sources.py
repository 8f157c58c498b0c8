"""Load the dataset that a configuration chooses."""

import functools
from dataclasses import replace
from pathlib import Path

from src.data.downloads import (
    download_folder,
    find_installed,
    read_cifar,
    read_emnist,
    read_or_download_idx,
    read_svhn,
)
from src.data.idx_folder import PUBLISHED, joint_digest, read_folder
from src.data.image_folder import read_image_folder
from src.data.images import Images, Source, as_images, content_digest
from src.data.memory import check_memory
from src.data.npz import read_npz
from src.data.synthetic import make_images
from src.datasets import (
    CIFAR10,
    CIFAR100,
    EMNIST,
    IDX,
    KMNIST,
    MNIST,
    NPZ,
    SVHN,
    Data,
    DataFiles,
    FashionMNIST,
    Folder,
    Synthetic,
)

EMBEDDED_MNIST = Path(__file__).parent / "mnist"
DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def image_cache_folder() -> Path:
    """Return the folder that keeps the decoded images of `data=folder`."""
    return download_folder(None) / "images"


def describe(data: Data) -> Source:
    """Return a dataset's description.  This reads the files, except for the embedded MNIST, which never changes."""
    if isinstance(data, MNIST) and data.root is None:
        return Source(joint_digest(PUBLISHED["MNIST"]), str(EMBEDDED_MNIST), 60_000, 10_000, 1, 28, DIGITS)
    return load(data).source


def load(data: Data) -> Images:
    """Return a dataset's images; the last dataset is cached.  Raises BadInput for missing or altered files."""
    # These keys do not change the images, so they must not cause another load.
    return _load(replace(data, batch_size=1, validation=1, split_seed=0, limit=None, label_noise=0.0, noise_seed=0))


@functools.lru_cache(maxsize=1)
def _load(data: Data) -> Images:
    if isinstance(data, Synthetic):
        check_memory(f"data.size={data.size}", (data.images + data.test_images) * data.channels * data.size**2)
        sizes = (data.classes, data.channels, data.size, data.noise)
        train = make_images(data.images, *sizes, stream="train")
        test = make_images(data.test_images, *sizes, stream="test")
        return as_images(content_digest([*train, *test]), "made up", tuple(map(str, range(data.classes))), train, test)
    assert isinstance(data, DataFiles)
    folder = download_folder(data.root)
    match data:
        case MNIST():
            return read_folder(folder if data.root else EMBEDDED_MNIST, "MNIST", DIGITS)
        case FashionMNIST():
            return read_or_download_idx(
                "FashionMNIST", folder if data.root else find_installed("FashionMNIST", folder), CLOTHES
            )
        case KMNIST():
            return read_or_download_idx("KMNIST", folder, KANA)
        case EMNIST():
            return read_emnist(folder, data.emnist_split)
        case CIFAR10() | CIFAR100():
            return read_cifar(type(data).__name__, folder)
        case SVHN():
            return read_svhn(folder)
        case IDX():
            return read_folder(folder, "", None)
        case Folder():
            return read_image_folder(folder, data.size, data.channels, image_cache_folder())
        case NPZ():
            return read_npz(folder)
    raise TypeError(f"no reader for {data}")
