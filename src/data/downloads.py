"""Datasets that torchvision downloads and verifies."""

import hashlib
import http.client
import os
import shutil
import socket
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from src.bad_input import BadInput
from src.data.idx_folder import packed_only, read_folder
from src.data.idx_names import find_set, folder_with_set
from src.data.images import Images, as_images
from src.data.refusals import root_word, unreadable

PATIENCE = 30  # seconds without a byte from the server


def download_folder(root: str | None) -> Path:
    """Return the folder `root`, or by default normlab's folder in the user's cache.

    Raises BadInput if the folder names an unknown user (`~user`) or is not UTF-8, which the report could not show.
    """
    try:
        folder = Path(root or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "normlab")).expanduser()
        str(folder.absolute()).encode()
    except RuntimeError as error:
        raise BadInput(f"data.root={root}: {error}", "an existing folder", "data.root=FOLDER") from error
    except UnicodeEncodeError as error:
        shown = os.fsencode(error.object).decode(errors="backslashreplace")
        advice = "data.root=LINK, where LINK is a link to it"
        raise BadInput(f"data.root={shown}: its name is not UTF-8", "a name that reports can show", advice) from error
    return folder


def read_mnist_relative(name: str, root: Path, classes: tuple[str, ...]) -> Images:
    """Read Fashion-MNIST or KMNIST, which have MNIST's format; downloads them if missing."""
    try:
        find_set(root, name, packed=packed_only(name))
    except BadInput as error:
        if isinstance(error.__cause__, OSError):  # the files may exist, but are hidden
            raise
        near = folder_with_set(root, name) if root.is_dir() else None
        if near is not None and not packed_only(name):
            raise BadInput(f"data.root={root} holds no {name}, but {near} holds a set", "", root_word(near)) from None
        _download(name, root)
    return read_folder(root, name, classes)


def read_cifar10(root: Path) -> Images:
    """Read CIFAR-10; downloads it if missing.  torchvision checks each file's MD5."""
    parts = [_download("CIFAR10", root, train=train) for train in (True, False)]
    images = [np.ascontiguousarray(part.data.transpose(0, 3, 1, 2)) for part in parts]  # (N, H, W, C) -> (N, C, H, W)
    labels = [np.array(part.targets, dtype=np.uint8) for part in parts]
    arrays = list(zip(images, labels, strict=True))
    digest = hashlib.sha256(b"".join(array.tobytes() for part in arrays for array in part)).hexdigest()
    return as_images(digest, str(root.resolve()), tuple(parts[0].classes), *arrays)


def _download(name: str, root: Path, **options: bool) -> Any:
    """Return a torchvision dataset; if that fails, remove partial files and raise BadInput."""
    import torchvision

    patience = socket.getdefaulttimeout()
    before: set[Path] | None = None
    if os.path.lexists(root) and not root.is_dir():
        advice = root_word(root.absolute().parent)
        raise BadInput(f"data.root={root} is not a folder", "a folder to download to and read from", advice)
    try:
        before = set(root.iterdir()) if root.is_dir() else None
        root.mkdir(parents=True, exist_ok=True)
        socket.setdefaulttimeout(PATIENCE)
        return getattr(torchvision.datasets, name)(root, download=True, **options)
    except (OSError, RuntimeError, http.client.HTTPException, tarfile.TarError) as error:
        _remove_new(root, before)
        if isinstance(error, PermissionError):
            raise unreadable(Path(error.filename or root), error) from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise BadInput(
            f"{name} is not in {root} and could not be downloaded: {reason}",
            "a network, or the files that torchvision would download",
            "data.root=FOLDER",
        ) from error
    finally:
        socket.setdefaulttimeout(patience)


def _remove_new(root: Path, before: set[Path] | None) -> None:
    """Remove a failed download's files; `before` is the former content of `root`, None if there was no such folder."""
    for path in [root] if before is None else set(root.iterdir()) - before:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
