"""Error messages for data files that are unreadable or not in IDX format, with advice on how to convert them."""

import re
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from src.bad_input import BadInput, as_one_word
from src.storage.stored import nearest_visible, owner_of

VALUE_TYPES = {  # the third byte of an IDX file
    0x08: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}
COPY_AGAIN = "copy or download it again"
IDX_RECIPE = (
    "in Python, convert an array a with "
    'bytes([0, 0, 8, a.ndim]) + numpy.array(a.shape, ">u4").tobytes() + a.astype("u1").tobytes()'
)
FOLDER_RECIPE = "move the pictures to train/CLASS and test/CLASS in this folder, and write data=folder {root}"
# Known formats: first bytes, description, advice.  {file} and {folder} become paths, quoted for the shell.
SIGNATURES = (
    (b"PK\x03\x04", "is a zip archive", "unzip {file} -d {folder}"),
    (b"\x1f\x8b", "is packed twice with gzip", "unpack it once with gunzip"),
    (b"BZh", "is packed with bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "is packed with xz", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstd", "unpack it with unzstd"),
    (b"7z\xbc\xaf", "is a 7z archive", "7z x {file}"),
    (b"version https://git-lfs", "is a Git LFS pointer instead of the file", "git -C {folder} lfs pull"),
    (b"\x89PNG", "is a PNG picture", IDX_RECIPE),
    (b"\xff\xd8\xff", "is a JPEG picture", IDX_RECIPE),
    (b"\x93NUMPY", "is a NumPy array", IDX_RECIPE),
    (b"PAR1", "is a Parquet file", IDX_RECIPE),
)
WEB_PAGE_STARTS = (b"<!doctype", b"<html", b"<head", b"<?xml")
# Known formats: endings of names, description, advice.  {root}, {parent} and {file_root} become `data.root=PATH`.
NAME_ENDINGS = (
    (("cifar-10-python.tar.gz", "cifar-10-batches-py"), "CIFAR-10 in its authors' format", "data=cifar10 {root}"),
    (("data_batch_1",), "CIFAR-10 in its authors' format", "data=cifar10 {parent}"),
    (("cifar-100-python.tar.gz", "cifar-100-python"), "CIFAR-100 in its authors' format", "data=cifar100 {root}"),
    (("train_32x32.mat",), "SVHN in its authors' format", "data=svhn {root}"),
    (("mnist.npz",), "MNIST in Keras's format", "data=mnist, which needs no files, or data=fashion_mnist"),
    ((".zip",), "a zip archive", "unzip {file} -d {folder}"),
    ((".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2"), "a tar archive", "tar -xf {file} -C {folder}"),
    ((".parquet", ".arrow"), "a Parquet or Arrow table (Hugging Face's format)", IDX_RECIPE),
    ((".npz",), "a file of NumPy arrays", "data=npz {file_root}"),
    ((".csv", ".npy", ".mat", ".arff", ".pt", ".pkl", ".h5"), "a table or an array", IDX_RECIPE),
    ((".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm"), "a picture", FOLDER_RECIPE),
)


def unreadable_refusal(path: Path, error: OSError, name: str = "") -> BadInput:
    """Return the error for an unreadable path, shown as `name` if given; a permission error names the owner."""
    refusal = f"{name or path} cannot be read: {error.strerror or error}"
    if isinstance(error, PermissionError):
        path = path.absolute()
        visible = nearest_visible(path)
        mode = visible.stat().st_mode & 0o777
        refusal += f" ({'it' if visible == path else visible} belongs to {owner_of(visible)}, mode {mode:03o})"
    return BadInput(refusal, "a file that you may read")


def root_argument(root: Path) -> str:
    """Return the argument `data.root=FOLDER`, in quotes if Hydra or the shell would misread the folder's name."""
    plain = re.fullmatch(r"[A-Za-z0-9_.+/-]*/[A-Za-z0-9_.+/-]*", str(root))
    return f"data.root={root}" if plain else as_one_word("data.root", str(root))


def not_idx_refusal(path: Path, beginning: bytes, axes: int) -> BadInput:
    """Return the error for a file that is not IDX with this number of axes; it names the real format if known."""
    kind = {1: "labels", 3: "images"}[axes]
    wanted = f"an IDX file of {kind}: {_value_description(0x08, axes)} (0000080{axes})"
    start_hex = beginning[:4].hex()
    if not beginning:
        return BadInput(f"{path} is empty", wanted, advice=COPY_AGAIN)
    if beginning.lstrip().lower().startswith(WEB_PAGE_STARTS):
        return BadInput(f"{path} is a web page", wanted, advice="download the file that the page links to")
    for signature, description, advice in SIGNATURES:
        if beginning.startswith(signature):
            advice = advice.format(file=quote(str(path)), folder=quote(str(path.parent)))
            return BadInput(f"{path} {description} (it starts with {start_hex})", wanted, advice=advice)
    if beginning[:2] == b"\0\0" and len(beginning) > 3 and beginning[2] in VALUE_TYPES:
        columns = "; in QMNIST, the first column is the label" if beginning[2:4] == b"\x0c\x02" else ""
        values = f"{_value_description(beginning[2], beginning[3])} (it starts with {start_hex}){columns}"
        return BadInput(f"{path} contains {values}", wanted, advice=IDX_RECIPE)
    return BadInput(f"{path} is not an IDX file: it starts with {start_hex}", wanted, advice=COPY_AGAIN)


def foreign_format(root: Path, names: Sequence[str]) -> tuple[str, str] | None:
    """Return the format of a file in `names` with a known ending, and advice for it; None if there is no such file."""
    paths = {"root": root_argument(root), "parent": root_argument(root.absolute().parent), "folder": quote(str(root))}
    for endings, description, advice in NAME_ENDINGS:
        for name in names:
            if name.lower().endswith(endings):
                file = root / name
                return f"{name} is {description}", advice.format(
                    **paths, file=quote(str(file)), file_root=root_argument(file)
                )
    return None


def _value_description(type_code: int, axes: int) -> str:
    return f"{VALUE_TYPES[type_code]} with {axes} {'axis' if axes == 1 else 'axes'}"
