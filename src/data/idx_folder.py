"""Four IDX files, as MNIST and its relatives are published, held against the digests that they are known by."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.bad_input import BadInput
from src.data.idx import Bytes, read_idx
from src.data.idx_names import FILES, find_set
from src.data.images import Images, as_images
from src.data.refusals import root_word


class Published(NamedTuple):
    """The digests of FILES, in their order: SHA-256 of the unpacked bytes, or MD5 of the packed files."""

    algorithm: str
    digests: tuple[str, str, str, str]


# By the name of the folder that torchvision keeps a set in.  MNIST's are in src/data/mnist/README.md.  KMNIST's are
# those that torchvision checks its downloads by: no digest of its unpacked files is published.  Fashion-MNIST's are
# those of Debian's dataset-fashion-mnist, which is packed anew: with the authors' gzip header (the file's name, time
# 1504176606 for training and 1504176627 for test) its files have the MD5s that torchvision checks.
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
        "sha256",
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
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
    arrays, digests = list[Bytes](), list[str]()
    found = find_set(root, name, packed=packed_only(name))
    for position, path in enumerate(found.paths):
        content, array = read_idx(path, 3 if "images" in FILES[position] else 1)
        if name:
            _check_published(name, position, path, content)
        if found.emnist and array.ndim == 3:
            array = np.ascontiguousarray(array.transpose(0, 2, 1))  # EMNIST's files hold each image mirrored and turned
        arrays.append(array)
        digests.append(hashlib.sha256(content).hexdigest())
    if found.emnist:
        digests.append("turned upright")  # the same files under MNIST's names are other images
    train_images, train_labels, test_images, test_labels = arrays
    names = classes or tuple(str(label) for label in range(max(int(train_labels.max(initial=0)), 1) + 1))
    train, test = (train_images[:, None], train_labels), (test_images[:, None], test_labels)  # (N, 1, H, W), (N,)
    return as_images(joint_digest(tuple(digests)), str(root.resolve()), names, train, test)


def packed_only(name: str) -> bool:
    """Whether a published set is known by the digests of its packed files alone."""
    return name in PUBLISHED and PUBLISHED[name].algorithm == "md5"


def _check_published(name: str, position: int, path: Path, content: bytes) -> None:
    algorithm, digests = PUBLISHED[name]
    checked = path.read_bytes() if packed_only(name) else content
    seen = hashlib.new(algorithm, checked, usedforsecurity=False).hexdigest()
    if seen != digests[position]:
        raise BadInput(
            f"{path} is not the published {name} file: {algorithm} {seen[:16]}...",
            f"{digests[position][:16]}...{'' if algorithm == 'md5' else ' (unpacked)'}",
            f"copy it again, or read it as it is: data=idx {root_word(path.parent)}",
        )
