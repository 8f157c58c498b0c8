"""Read datasets in NumPy's .npz format, with the names of MedMNIST's arrays (Yang et al. 2023).

`train_images`, `val_images` and `test_images` are unsigned bytes (N, H, W) or (N, H, W, channels); `train_labels` and
so on are integers (N,) or (N, 1).  The validation arrays are optional.
"""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from src.bad_input import BadInput
from src.data.images import Images, LabelledImages, as_images, content_digest
from src.data.memory import check_memory
from src.data.refusals import COPY_AGAIN, root_argument, unreadable_refusal
from src.wording import joined

MAX_COMPRESSION = 1040  # deflate's best ratio is 1032 (https://zlib.net/zlib_tech.html)
MOST_CLASSES = 1000
REQUIRED_NAMES = ("train_images", "train_labels", "test_images", "test_labels")
VALIDATION_NAMES = ("val_images", "val_labels")
HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
Array = npt.NDArray[Any]
Header = tuple[tuple[int, ...], np.dtype[Any]]


def read_npz(path: Path) -> Images:
    """Return the dataset in an .npz file.  Raises BadInput if the file is missing, damaged or has another layout."""
    if not path.is_file():
        found = sorted(path.glob("*.npz")) if path.is_dir() else []
        problem = f"data.root={path} is {'a folder' if path.is_dir() else 'not a file'}"
        raise BadInput(problem, "an .npz file", root_argument(found[0]) if found else "data.root=FILE.npz")
    try:
        with zipfile.ZipFile(path) as archive:
            headers = read_headers(archive)
            _check_names(path, headers)
            names = [name for name in (*REQUIRED_NAMES, *VALIDATION_NAMES) if name in headers]
            for name in names:
                _check_header(path, name, *headers[name])
            check_memory(path, sum(math.prod(headers[name][0]) for name in names if name.endswith("_images")))
            arrays = {name: read_array(archive, name) for name in names}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"{path} is damaged, or not an .npz file: {error}", "numpy.savez", advice=COPY_AGAIN) from error
    except OSError as error:
        raise unreadable_refusal(path, error) from error
    splits = {
        split: _labelled_images(path, split, arrays)
        for split in ("train", "test", "val")
        if f"{split}_images" in arrays
    }
    train_labels = splits["train"][1]
    if len(train_labels) and train_labels.min() == train_labels.max():
        raise BadInput(f"{path}: all training images have the label {train_labels[0]}", "two classes or more")
    classes = tuple(str(label) for label in range(int(train_labels.max(initial=0)) + 1))
    digest = content_digest([arrays[name] for name in names])
    return as_images(digest, str(path.resolve()), classes, splits["train"], splits["test"], splits.get("val"))


def read_headers(archive: zipfile.ZipFile) -> dict[str, Header]:
    """Return the shape and type of each array in an .npz file, without reading the arrays.

    Raises ValueError if the file holds less data than a header says, or data that only pickle can read.
    """
    headers = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            if version not in HEADER_READERS:
                raise ValueError(f"{name} has version {version} of NumPy's format")
            shape, _, dtype = HEADER_READERS[version](file)
            size = file.tell() + math.prod(shape) * dtype.itemsize
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects, which normlab does not unpickle")
        if member.file_size != size or size > MAX_COMPRESSION * member.compress_size + 1000:
            raise ValueError(f"{name} has less data than its header says")
        headers[name] = shape, dtype
    return headers


def read_array(archive: zipfile.ZipFile, name: str) -> Array:
    """Return an array of an .npz file; raises `zipfile.BadZipFile` if its checksum is wrong."""
    with archive.open(f"{name}.npy") as file:
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _check_names(path: Path, headers: dict[str, Header]) -> None:
    missing = [name for name in REQUIRED_NAMES if name not in headers]
    if len(present := [name for name in VALIDATION_NAMES if name in headers]) == 1:
        missing += [name for name in VALIDATION_NAMES if name not in present]
    if missing:
        raise BadInput(
            f"{path} lacks {joined(missing, 4)}; it contains {joined(list(headers), 6) or 'no arrays'}",
            f"{joined(REQUIRED_NAMES, 4)}; optionally {joined(VALIDATION_NAMES)}",
            advice="numpy.savez(FILE, train_images=..., train_labels=..., test_images=..., test_labels=...)",
        )


def _check_header(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise BadInput if an array has a shape or type that its name does not allow."""
    found = f"{path}: {name} has the shape {shape} and the type {dtype}"
    if name.endswith("_images"):
        if dtype != np.uint8 or len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
            raise BadInput(found, "uint8, 0 to 255, with the shape (N, H, W), (N, H, W, 1) or (N, H, W, 3)")
    elif dtype.kind not in "iu" or len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
        several = "; normlab trains on one label per image" if len(shape) == 2 and shape[1] > 1 else ""
        raise BadInput(f"{found}{several}", "integers with the shape (N,) or (N, 1)")


def _labelled_images(path: Path, split: str, arrays: dict[str, Array]) -> LabelledImages:
    """Return the images (N, C, H, W) and labels (N,) of a split."""
    images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"].reshape(-1)
    for label in (labels.min(initial=0), labels.max(initial=0)):
        if not 0 <= label < MOST_CLASSES:
            raise BadInput(f"{path}: {split}_labels contains {label}", f"labels from 0 to {MOST_CLASSES - 1}")
    if images.ndim == 3:
        images = images[..., None]
    return images.transpose(0, 3, 1, 2), labels.astype(np.uint16)
