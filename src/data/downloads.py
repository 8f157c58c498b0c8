"""Read Fashion-MNIST, KMNIST and CIFAR-10, which torchvision downloads and verifies if they are missing."""

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
from src.data.idx_folder import has_only_packed_digests, read_folder
from src.data.idx_names import find_dataset_files, find_nearby_folder
from src.data.images import Images, as_images
from src.data.refusals import root_argument, unreadable_refusal

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


def read_or_download_idx(name: str, root: Path, classes: tuple[str, ...]) -> Images:
    """Return Fashion-MNIST or KMNIST, which are IDX files like MNIST.  torchvision downloads missing files."""
    try:
        find_dataset_files(root, name, packed=has_only_packed_digests(name))
    except BadInput as error:
        if isinstance(error.__cause__, OSError):  # the files may exist in a folder that the user cannot read
            raise
        nearby = find_nearby_folder(root, name) if root.is_dir() else None
        if nearby is not None and not has_only_packed_digests(name):
            refusal = f"data.root={root} does not contain {name}, but {nearby} contains a dataset"
            raise BadInput(refusal, "", root_argument(nearby)) from None
        _download(name, root)
    return read_folder(root, name, classes)


def read_cifar10(root: Path) -> Images:
    """Return CIFAR-10.  torchvision downloads it if it is missing, and checks each file's MD5."""
    splits = [_download("CIFAR10", root, train=train) for train in (True, False)]
    images = [np.ascontiguousarray(split.data.transpose(0, 3, 1, 2)) for split in splits]  # (N, C, H, W)
    labels = [np.array(split.targets, dtype=np.uint8) for split in splits]
    arrays = list(zip(images, labels, strict=True))
    digest = hashlib.sha256(b"".join(array.tobytes() for split in arrays for array in split)).hexdigest()
    return as_images(digest, str(root.resolve()), tuple(splits[0].classes), *arrays)


def _download(name: str, root: Path, **options: bool) -> Any:
    """Return a torchvision dataset, and download it if missing.  A failure raises BadInput and leaves no files."""
    import torchvision

    previous_timeout = socket.getdefaulttimeout()
    earlier_content: set[Path] | None = None
    if os.path.lexists(root) and not root.is_dir():
        advice = root_argument(root.absolute().parent)
        raise BadInput(f"data.root={root} is not a folder", "a folder to download to and read from", advice)
    try:
        earlier_content = set(root.iterdir()) if root.is_dir() else None
        root.mkdir(parents=True, exist_ok=True)
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
        return getattr(torchvision.datasets, name)(root, download=True, **options)
    except (OSError, RuntimeError, http.client.HTTPException, tarfile.TarError) as error:
        _remove_partial_download(root, earlier_content)
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


def _remove_partial_download(root: Path, earlier_content: set[Path] | None) -> None:
    """Remove all paths in `root` that are not in `earlier_content`; None means that `root` is new and goes too."""
    for path in [root] if earlier_content is None else set(root.iterdir()) - earlier_content:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
