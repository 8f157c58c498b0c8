"""Load the dataset that a configuration chooses."""

import functools
import hashlib
from dataclasses import replace
from pathlib import Path

from src.data.downloads import download_folder, read_cifar10, read_or_download_idx
from src.data.idx_folder import PUBLISHED, joint_digest, read_folder
from src.data.images import Images, Source, as_images
from src.data.synthetic import make_images
from src.options import CIFAR10, IDX, KMNIST, MNIST, Data, DataFiles, FashionMNIST, Synthetic

EMBEDDED_MNIST = Path(__file__).parent / "mnist"
DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def describe(data: Data) -> Source:
    """Return a dataset's description.  This reads the files, except for the embedded MNIST, which never changes."""
    if isinstance(data, MNIST) and data.root is None:
        return Source(joint_digest(PUBLISHED["MNIST"]), str(EMBEDDED_MNIST), 60_000, 10_000, 1, 28, DIGITS)
    return load(data).source


def load(data: Data) -> Images:
    """Return a dataset's images; the last dataset is cached.  Raises BadInput for missing or altered files."""
    return _load(replace(data, batch_size=1, validation=1, split_seed=0, limit=None))  # none of them changes the images


@functools.lru_cache(maxsize=1)
def _load(data: Data) -> Images:
    if isinstance(data, Synthetic):
        sizes = (data.classes, data.channels, data.size, data.noise)
        train = make_images(data.images, *sizes, stream="train")
        test = make_images(data.test_images, *sizes, stream="test")
        digest = hashlib.sha256(b"".join(array.tobytes() for array in (*train, *test))).hexdigest()
        return as_images(digest, "made up", tuple(map(str, range(data.classes))), train, test)
    assert isinstance(data, DataFiles)
    folder = download_folder(data.root)
    match data:
        case MNIST():
            return read_folder(folder if data.root else EMBEDDED_MNIST, "MNIST", DIGITS)
        case FashionMNIST():
            return read_or_download_idx("FashionMNIST", folder, CLOTHES)
        case KMNIST():
            return read_or_download_idx("KMNIST", folder, KANA)
        case CIFAR10():
            return read_cifar10(folder)
        case IDX():
            return read_folder(folder, "", None)
    raise TypeError(f"no reader for {data}")
