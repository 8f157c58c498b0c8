"""Saves, loads and counts a trained network's predictions for all test images."""

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from src.storage.files import write_atomic
from src.storage.stored import DamagedFile, read_stored

ARRAYS = ("label", "predicted", "probabilities")
LARGEST_RATIO = 1040  # deflate's best ratio is 1032 (https://zlib.net/zlib_tech.html)
Classes = npt.NDArray[np.integer[Any]]  # one class number per image (N,)
Indices = npt.NDArray[np.int64]  # positions of images in the test file (n,)


@dataclass(frozen=True)
class Predictions:
    """Labels (N,), predicted classes (N,) and probabilities (N, classes) of N test images, in the test file's order."""

    label: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.label)

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """Whether each image is misclassified (N,)."""
        return np.not_equal(self.predicted, self.label)

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """The probability of each predicted class (N,)."""
        return np.asarray(self.probabilities[np.arange(len(self)), self.predicted])


def save_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions atomically as a compressed .npz with `index`, `label`, `predicted`, `probabilities`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, index=np.arange(len(predictions)), **vars(predictions))
    write_atomic(path, buffer.getvalue())


def load_predictions(path: Path, shape: tuple[int, int] | None = None) -> Predictions:
    """Read predictions; checks names, types, sizes and compression before it unpacks the arrays.

    `shape` is the expected number of images and of classes; None allows all numbers.  Raises DamagedFile if the file is
    damaged, FileNotFoundError if it is missing, and NoAccess if this user may not read it.
    """
    content = read_stored(path) if shape is None else read_stored(path, shape[0] * (32 + 8 * shape[1]) + 100_000)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if reason := _header_fault(archive, shape):
                raise DamagedFile(path, reason)
            predictions = Predictions(*(_unpack(content, archive.getinfo(f"{name}.npy")) for name in ARRAYS))
    except DamagedFile:
        raise
    except Exception as error:  # zipfile and numpy raise many kinds of errors for damaged files
        raise DamagedFile(path, f"cannot be read: {type(error).__name__}") from error
    probabilities = predictions.probabilities
    for classes in (predictions.label, predictions.predicted):
        if len(classes) and (classes.min() < 0 or classes.max() >= probabilities.shape[1]):
            raise DamagedFile(path, "contains classes that the dataset does not have")
    if len(probabilities) and not (probabilities.min() >= 0 and probabilities.max() < 1.001):  # false for NaN
        raise DamagedFile(path, "contains probabilities that are not from 0 to 1")
    return predictions


def _header_fault(archive: zipfile.ZipFile, shape: tuple[int, int] | None) -> str:
    """Return the fault in the headers of an archive and its arrays, or an empty string."""
    members = {member.filename: member for member in archive.infolist()}
    if len(members) < len(archive.infolist()):
        return "contains an array twice"
    shapes = {}
    for name in ARRAYS:
        member = members.get(f"{name}.npy")
        if member is None:
            return f"lacks the array {name}"
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
            return f"stores {name} encrypted or with an unknown compression"
        with archive.open(member) as file:
            shapes[name], _, dtype = _read_array_header(file)
            size = file.tell() + int(np.prod([float(n) for n in shapes[name]])) * dtype.itemsize
        if dtype.kind not in ("f" if name == "probabilities" else "iu"):
            return f"stores {name} as {dtype}"
        if member.file_size != size or size > LARGEST_RATIO * member.compress_size + 1000:
            return f"contains less data for {name} than its header says"
    images, *classes = shapes["probabilities"] or (0,)
    if len(classes) != 1 or any(shapes[name] != (images,) for name in ("label", "predicted")):
        return "contains arrays of the wrong shapes"
    return "does not have a prediction for each test image and class" if shape not in (None, (images, *classes)) else ""


def _unpack(content: bytes, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Return an array of an archive whose headers are checked.

    Decompresses in one piece, which takes two thirds of the time of `ZipFile.read`.  Raises BadZipFile if the data has
    the wrong size or checksum.
    """
    name_length, extra_length = struct.unpack_from("<2H", content, member.header_offset + 26)
    start = member.header_offset + 30 + name_length + extra_length  # a local header has 30 bytes and these two parts
    data: bytes | memoryview = memoryview(content)[start : start + member.compress_size]
    if member.compress_type == zipfile.ZIP_DEFLATED:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.file_size + 1)
    if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
        raise zipfile.BadZipFile
    file = io.BytesIO(data)
    array_shape, is_fortran, dtype = _read_array_header(file)
    array: npt.NDArray[Any] = np.ndarray(array_shape, dtype, data, file.tell(), order="F" if is_fortran else "C")
    return array


def _read_array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return an array's shape, whether it is in Fortran order, and its type."""
    version = np.lib.format.read_magic(file)
    parse = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = parse(file)
    return header


def worst_mistakes(predictions: Predictions, count: int) -> Indices:
    """Return the positions of at most `count` wrong predictions, the most confident first."""
    wrong = np.flatnonzero(predictions.wrong)
    order = np.argsort(-predictions.confidence[wrong], kind="stable")
    return wrong[order[:count]].astype(np.int64)


def confusion_counts(label: Classes, predicted: Classes, n_classes: int) -> npt.NDArray[np.int64]:
    """Return how many images of each class (row) were predicted as each class (column): (n_classes, n_classes)."""
    pairs = label.astype(np.int64) * n_classes + predicted
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def per_class_rows(predictions: Predictions, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per class: images, errors, accuracy (0 to 1), most frequent wrong prediction, and its count.

    The accuracy is None for a class without images, and the wrong prediction is None for a class without errors.
    """
    counts = confusion_counts(predictions.label, predictions.predicted, len(classes))
    mistakes = counts - np.diag(counts.diagonal())
    rows: list[dict[str, Any]] = []
    for position, name in enumerate(classes):
        images, hits = int(counts[position].sum()), int(counts[position, position])
        confused_class = int(mistakes[position].argmax())
        times = int(mistakes[position, confused_class])
        row = {"class": name, "images": images, "errors": images - hits, "accuracy": hits / images if images else None}
        rows.append(row | {"mostly taken for": classes[confused_class] if times else None, "times": times})
    return rows
