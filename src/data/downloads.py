"""Read the datasets that torchvision downloads and verifies if they are missing."""

import contextlib
import http.client
import os
import shutil
import socket
import string
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from src.bad_input import BadInput
from src.data.idx_folder import has_only_packed_digests, read_folder
from src.data.idx_names import find_dataset_files, find_nearby_folder
from src.data.image_files import is_image_folder
from src.data.images import Images, as_images, content_digest
from src.data.refusals import root_argument, unreadable_refusal

SYSTEM_FOLDERS = {"FashionMNIST": Path("/usr/share/datasets/fashion-mnist")}  # Debian's dataset-fashion-mnist
_DIGITS, _ALPHANUMERIC = tuple(string.digits), tuple(string.digits + string.ascii_uppercase)
EMNIST_CLASSES = {
    "balanced": (*_ALPHANUMERIC, *"abdefghnqrt"),  # the other small letters look like their capitals
    "bymerge": (*_ALPHANUMERIC, *"abdefghnqrt"),
    "byclass": (*_ALPHANUMERIC, *string.ascii_lowercase),
    "letters": tuple(string.ascii_lowercase),  # capital and small letters together
    "digits": _DIGITS,
    "mnist": _DIGITS,
}
"""The classes of EMNIST's six datasets (Cohen et al. 2017), in the order of their labels."""
DOWNLOAD_TIMEOUT = 30  # seconds; a download fails if the server sends no byte for so long


def download_folder(root: str | None) -> Path:
    """Return the folder `root`, or by default normlab's folder in the user's cache.

    Raises BadInput if the path names an unknown user (`~user`), or is not UTF-8, because reports could not show it.
    """
    try:
        folder = Path(root or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "normlab")).expanduser()
        str(folder.absolute()).encode()
    except RuntimeError as error:
        raise BadInput(f"data.root={root}: {error}", "an existing folder", "data.root=FOLDER") from error
    except UnicodeEncodeError as error:
        shown = os.fsencode(error.object).decode(errors="backslashreplace")
        problem, advice = f"data.root={shown}: its name is not UTF-8", "data.root=LINK, where LINK is a link to it"
        raise BadInput(problem, "a name that reports can show", advice=advice) from error
    return folder


def find_installed(name: str, folder: Path) -> Path:
    """Return `folder`, or the folder of the system's package if only that one contains the dataset."""
    for place in (folder, SYSTEM_FOLDERS[name]):
        with contextlib.suppress(BadInput):
            find_dataset_files(place, name)
            return place
    return folder


def read_or_download_idx(name: str, root: Path, classes: tuple[str, ...]) -> Images:
    """Return Fashion-MNIST or KMNIST, which are IDX files like MNIST.  torchvision downloads missing files."""
    _download_missing_idx(name, root, packed=has_only_packed_digests(name))
    return read_folder(root, name, classes)


def read_emnist(root: Path, split: str) -> Images:
    """Return one of EMNIST's six datasets with upright images and labels from 0.

    If its files are missing, torchvision downloads all six and compares the archive with its published MD5.  No digests
    of the unpacked files are published.
    """
    prefix = f"emnist-{split}"
    _download_missing_idx("EMNIST", root, prefix, split=split)
    return read_folder(root, "EMNIST", EMNIST_CLASSES[split], prefix, first_label=1 if split == "letters" else 0)


def _download_missing_idx(name: str, root: Path, prefix: str = "", *, packed: bool = False, **options: str) -> None:
    """Download a dataset of IDX files into `root` unless the folder contains it; see `find_dataset_files`."""
    try:
        find_dataset_files(root, name, prefix, packed=packed)
    except BadInput as error:
        if isinstance(error.__cause__, OSError):  # the files may exist in a folder that the user cannot read
            raise
        nearby = find_nearby_folder(root, name, prefix) if root.is_dir() else None
        if nearby is not None and not packed:
            refusal = f"data.root={root} does not contain {name}, but {nearby} contains a dataset"
            raise BadInput(refusal, "", root_argument(nearby)) from None
        _download(name, root, **options)


def read_cifar(name: str, root: Path) -> Images:
    """Return CIFAR10 or CIFAR100.  torchvision downloads it if it is missing, and checks each file's MD5."""
    splits = [_download(name, root, train=train) for train in (True, False)]
    arrays = [
        (np.ascontiguousarray(split.data.transpose(0, 3, 1, 2)), np.array(split.targets, dtype=np.uint8))
        for split in splits  # images (N, C, H, W) and labels (N,)
    ]
    digest = content_digest([array for split in arrays for array in split])
    return as_images(digest, str(root.resolve()), tuple(splits[0].classes), *arrays)


def read_svhn(root: Path) -> Images:
    """Return SVHN without its extra images.  torchvision downloads it if it is missing, and checks each file's MD5."""
    splits = [_download("SVHN", root, split=split) for split in ("train", "test")]
    arrays = [(np.ascontiguousarray(split.data), split.labels.astype(np.uint8)) for split in splits]
    digest = content_digest([array for split in arrays for array in split])
    return as_images(digest, str(root.resolve()), tuple("0123456789"), *arrays)


def _download(name: str, root: Path, **options: Any) -> Any:
    """Return a torchvision dataset, and download it if missing.  A failure raises BadInput and leaves no files."""
    import torchvision

    previous_timeout = socket.getdefaulttimeout()
    if os.path.lexists(root) and not root.is_dir():
        advice = root_argument(root.absolute().parent)
        raise BadInput(f"data.root={root} is not a folder", "a folder to download to and read from", advice)
    dataset, is_new = getattr(torchvision.datasets, name), not root.is_dir()
    earlier_content: set[Path] | None = None  # not known yet
    try:
        earlier_content = set(root.iterdir()) if root.is_dir() else set()
        with contextlib.suppress(RuntimeError):  # the dataset is missing or damaged
            return dataset(root, download=False, **options)
        if is_image_folder(root):
            problem = f"data.root={root} contains image files in train/ and test/, and not {name}"
            raise BadInput(problem, write=f"data=folder {root_argument(root)}")
        root.mkdir(parents=True, exist_ok=True)
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
        return dataset(root, download=True, **options)
    except (OSError, RuntimeError, http.client.HTTPException, tarfile.TarError, zipfile.BadZipFile) as error:
        if earlier_content is not None:
            _remove_partial_download(root, earlier_content, is_new=is_new)
        if isinstance(error, PermissionError):
            raise unreadable_refusal(Path(error.filename or root), error) from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise BadInput(
            f"{name} is not in {root} and could not be downloaded: {reason}",
            "a network connection, or a folder with the files that torchvision downloads",
            "data.root=FOLDER",
        ) from error
    finally:
        socket.setdefaulttimeout(previous_timeout)


def _remove_partial_download(root: Path, earlier_content: set[Path], *, is_new: bool) -> None:
    """Remove all paths in `root` that are not in `earlier_content`, and `root` itself if it is new."""
    for path in set(root.iterdir()) - earlier_content if root.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if is_new:
        with contextlib.suppress(OSError):  # it does not exist, or another process has written to it
            root.rmdir()
