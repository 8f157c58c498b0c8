"""Read the four IDX files of a dataset, such as MNIST, and compare them with published digests."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from src.bad_input import BadInput
from src.data.idx import Bytes, read_idx
from src.data.idx_names import FILES, find_dataset_files
from src.data.images import Images, as_images
from src.data.refusals import root_argument

# Digests of FILES by torchvision's folder name: SHA-256 of the unpacked files, but MD5 of KMNIST's packed files.
# Sources: src/data/mnist/README.md; Debian's dataset-fashion-mnist (torchvision's MD5s confirm it); torchvision.
PUBLISHED = {
    "MNIST": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "FashionMNIST": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    "KMNIST": (
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
}


def joint_digest(digests: Iterable[str]) -> str:
    """Return the digest of a dataset, computed from the digests of its unpacked files."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def read_folder(
    root: Path, name: str, classes: tuple[str, ...] | None, prefix: str = "", first_label: int = 0
) -> Images:
    """Read a dataset of plain or packed IDX files from a folder, or from torchvision's layout inside it.

    `name` is torchvision's name of the dataset; an empty name accepts any dataset.  If `classes` is None, the classes
    are named 0, 1 and so on.  `prefix` is the beginning of the files' names, such as `emnist-letters`, and
    `first_label` the label of the first class in the files, which is 1 for EMNIST's letters.  Raises BadInput if files
    are missing or damaged, or differ from the published files in PUBLISHED.
    """
    arrays, digests = list[Bytes](), list[str]()
    paths, emnist_prefix = find_dataset_files(root, name, prefix, packed=has_only_packed_digests(name))
    for position, path in enumerate(paths):
        content, array = read_idx(path, 3 if "images" in FILES[position] else 1)
        digests.append(hashlib.sha256(content).hexdigest())
        if name in PUBLISHED:
            _check_published(name, position, path, digests[-1])
        if emnist_prefix and array.ndim == 3:
            array = np.ascontiguousarray(array.transpose(0, 2, 1))  # EMNIST stores images transposed
        arrays.append(array)
    if emnist_prefix:
        digests.append("turned upright")  # under MNIST's names, these bytes would give transposed images
    if first_label:
        digests.append(f"labels from {first_label}")  # without `first_label`, these bytes would give other labels
    train_images, train_labels, test_images, test_labels = arrays
    train_labels, test_labels = train_labels - np.uint8(first_label), test_labels - np.uint8(first_label)
    class_names = classes or tuple(str(label) for label in range(max(int(train_labels.max(initial=0)), 1) + 1))
    train, test = (train_images[:, None], train_labels), (test_images[:, None], test_labels)  # (N, 1, H, W), (N,)
    return as_images(joint_digest(digests), str(root.resolve()), class_names, train, test)


def has_only_packed_digests(name: str) -> bool:
    """Whether PUBLISHED has digests of the dataset's packed files instead of its unpacked files."""
    return name in PUBLISHED and len(PUBLISHED[name][0]) == 32  # an MD5 has 32 hexadecimal digits


def _check_published(name: str, position: int, path: Path, digest: str) -> None:
    """Raise BadInput if a file is not the published one; `digest` is the SHA-256 of its unpacked content."""
    packed, published = has_only_packed_digests(name), PUBLISHED[name][position]
    algorithm = "md5" if packed else "sha256"
    if packed:
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if digest != published:
        raise BadInput(
            f"{path} is not the published {name} file: {algorithm} {digest[:16]}...",
            f"{published[:16]}...{'' if packed else ' (unpacked)'}",
            advice=f"copy it again, or read it as another dataset: data=idx {root_argument(path.parent)}",
        )
