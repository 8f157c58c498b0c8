"""Refusals of data files and folders: unreadable, or in another format than IDX, with how to convert them."""

import re
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from src.bad_input import BadInput, as_one_word
from src.storage.stored import nearest_visible, owner_of

TYPES = {
    0x08: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}
AGAIN = "copy or download it again"
AS_IDX = (
    "in Python, an array a becomes the file's bytes by "
    'bytes([0, 0, 8, a.ndim]) + numpy.array(a.shape, ">u4").tobytes() + a.astype("u1").tobytes()'
)
# The first bytes of a file, its format, and advice; {file} and {folder} are quoted for the shell.
BEGINNINGS = (
    (b"PK\x03\x04", "is a zip archive", "unzip {file} -d {folder}"),
    (b"\x1f\x8b", "is packed by gzip twice", "unpack it once by gunzip"),
    (b"BZh", "is packed by bzip2", "unpack it by bunzip2"),
    (b"\xfd7zXZ", "is packed by xz", "unpack it by unxz"),
    (b"\x28\xb5\x2f\xfd", "is packed by zstd", "unpack it by unzstd"),
    (b"7z\xbc\xaf", "is a 7z archive", "7z x {file}"),
    (b"version https://git-lfs", "is a Git LFS pointer instead of the file", "git -C {folder} lfs pull"),
    (b"\x89PNG", "is a PNG picture", AS_IDX),
    (b"\xff\xd8\xff", "is a JPEG picture", AS_IDX),
    (b"\x93NUMPY", "is a NumPy array", AS_IDX),
    (b"PAR1", "is a Parquet file", AS_IDX),
)
WEB_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml")
# The end of a file's name, its format, and advice; {root} and {parent} become `data.root=FOLDER`.
ENDINGS = (
    (("cifar-10-python.tar.gz", "cifar-10-batches-py"), "CIFAR-10 as its authors publish it", "data=cifar10 {root}"),
    (("data_batch_1",), "CIFAR-10 as its authors publish it", "data=cifar10 {parent}"),
    (("mnist.npz",), "a set as Keras keeps it", "data=mnist, which needs no files, or data=fashion_mnist"),
    ((".zip",), "a zip archive", "unzip {file} -d {folder}"),
    ((".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2"), "a tar archive", "tar -xf {file} -C {folder}"),
    ((".parquet", ".arrow"), "a table, as Hugging Face keeps sets", AS_IDX),
    ((".csv", ".npz", ".npy", ".mat", ".arff", ".pt", ".pkl", ".h5"), "a table or an array", AS_IDX),
    ((".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm"), "a picture", AS_IDX),
)


def unreadable(path: Path, error: OSError, name: str = "") -> BadInput:
    """Return the refusal of an unreadable path, shown as `name` if given; names the owner if permission is missing."""
    refusal = f"{name or path} cannot be read: {error.strerror or error}"
    if isinstance(error, PermissionError):
        path = path.absolute()
        place = nearest_visible(path)
        mode = place.stat().st_mode & 0o777
        refusal += f" ({'it' if place == path else place} belongs to {owner_of(place)}, mode {mode:03o})"
    return BadInput(refusal, "a file that you may read")


def root_word(root: Path) -> str:
    """Return `data.root=FOLDER` as typed, in quotes if Hydra or the shell would change the folder's name."""
    plain = re.fullmatch(r"[A-Za-z0-9_.+/-]*/[A-Za-z0-9_.+/-]*", str(root))
    return f"data.root={root}" if plain else as_one_word("data.root", str(root))


def not_idx(path: Path, beginning: bytes, axes: int) -> BadInput:
    """Return the refusal of a file that is not an IDX file with these axes; names the format if it is known."""
    kind = {1: "labels", 3: "images"}[axes]
    wanted = f"an IDX file of {kind}: {_values(0x08, axes)} (0000080{axes})"
    start = beginning[:4].hex()
    if not beginning:
        return BadInput(f"{path} is empty", wanted, AGAIN)
    if beginning.lstrip().lower().startswith(WEB_PAGES):
        return BadInput(f"{path} is a web page, saved in place of the file", wanted, "download what the page offers")
    for known, description, advice in BEGINNINGS:
        if beginning.startswith(known):
            advice = advice.format(file=quote(str(path)), folder=quote(str(path.parent)))
            return BadInput(f"{path} {description} (it starts with {start})", wanted, advice)
    if beginning[:2] == b"\0\0" and len(beginning) > 3 and beginning[2] in TYPES:
        columns = "; of QMNIST's columns the first is the label" if beginning[2:4] == b"\x0c\x02" else ""
        values = f"{_values(beginning[2], beginning[3])} (it starts with {start}){columns}"
        return BadInput(f"{path} holds {values}", wanted, AS_IDX)
    return BadInput(f"{path} is not an IDX file: it starts with {start}", wanted, AGAIN)


def foreign(root: Path, names: Sequence[str]) -> tuple[str, str] | None:
    """Return the format of the first known file among `names` and how to use it; None if no file is known."""
    words = {"root": root_word(root), "parent": root_word(root.absolute().parent), "folder": quote(str(root))}
    for endings, description, advice in ENDINGS:
        for name in names:
            if name.lower().endswith(endings):
                return f"{name} is {description}", advice.format(**words, file=quote(str(root / name)))
    return None


def _values(kind: int, axes: int) -> str:
    return f"{TYPES[kind]} with {axes} {'axis' if axes == 1 else 'axes'}"
