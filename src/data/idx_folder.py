"""Four IDX files, as MNIST and its relatives are published, held against the digests that they are known by."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from src.bad_input import BadInput
from src.data.idx import find_idx, parse_idx, read_file, unpack
from src.data.images import Images, as_images

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class Published(NamedTuple):
    """The digests of FILES, in their order: SHA-256 of the unpacked bytes, or MD5 of the packed files."""

    algorithm: str
    digests: tuple[str, str, str, str]


# By the name of the folder that torchvision keeps a set in.  MNIST's are in src/data/mnist/README.md, the others are
# those that torchvision checks its downloads by: of these sets no digest of the unpacked files is published.
PUBLISHED = {
    "MNIST": Published(
        "sha256",
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "FashionMNIST": Published(
        "md5",
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "KMNIST": Published(
        "md5",
        (
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
}


def joint_digest(digests: tuple[str, ...]) -> str:
    """One digest for a dataset out of those of its unpacked files."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def read_folder(root: Path, name: str, classes: tuple[str, ...] | None) -> Images:
    """The dataset in a folder, plain or packed, in torchvision's layout or not.

    Args:
        root: the folder.
        name: the published set that it must be; empty for any other.
        classes: what the labels stand for; None names them by their numbers.

    Raises:
        BadInput: where files are missing, damaged or not the published ones.
    """
    arrays, digests = [], []
    for position, file in enumerate(FILES):
        path = find_file(root, file, name)
        stored = read_file(path)
        content = unpack(stored, path)
        if name:
            _check_published(name, position, path, stored, content)
        arrays.append(parse_idx(content, 3 if "images" in file else 1, path))
        digests.append(hashlib.sha256(content).hexdigest())
    train_images, train_labels, test_images, test_labels = arrays
    names = classes or tuple(str(label) for label in range(max(int(train_labels.max(initial=0)), 1) + 1))
    train, test = (train_images[:, None], train_labels), (test_images[:, None], test_labels)  # (N, 1, H, W), (N,)
    return as_images(joint_digest(tuple(digests)), str(root.resolve()), names, train, test)


def find_file(root: Path, file: str, name: str) -> Path:
    """Where one of FILES stands; packed where that is how the set is published."""
    packed_only = name in PUBLISHED and PUBLISHED[name].algorithm == "md5"
    return find_idx(root, file, name, (".gz",) if packed_only else ("", ".gz"))


def _check_published(name: str, position: int, path: Path, stored: bytes, content: bytes) -> None:
    algorithm, digests = PUBLISHED[name]
    seen = hashlib.new(algorithm, stored if algorithm == "md5" else content, usedforsecurity=False).hexdigest()
    if seen != digests[position]:
        raise BadInput(
            f"{path} is not the published {name} file: {algorithm} {seen[:16]}...",
            f"{digests[position][:16]}...{'' if algorithm == 'md5' else ' (unpacked)'}",
            f"copy it again, or read it as it is: data=idx data.root={path.parent}",
        )
