"""Reading MNIST's IDX files, packed by gzip or not, with every byte accounted for.

The format (Y. LeCun): two zero bytes, 8 for unsigned bytes, the number of axes; each axis as a 32-bit big-endian
number; then the values, last axis fastest.
"""

import contextlib
import gzip
import math
import os
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from src.bad_input import BadInput
from src.data.recognised import not_idx
from src.data.refusals import unreadable

Bytes = npt.NDArray[np.uint8]

UNSIGNED_BYTE = 8
GZIP = b"\x1f\x8b"  # how a packed file begins, whatever its name
DEFLATE = 1032  # bytes that gzip packs into one, at most
BEGINNING = 1024  # bytes of a file that tell what it is
IN_MEMORY = 5  # bytes that a pixel takes while a job trains: itself and a 32-bit float


def read_idx(path: Path, axes: int) -> tuple[bytes, Bytes]:
    """The unpacked content of an IDX file and its array: images (N, H, W) with three axes, labels (N,) with one.

    The header says how large the file must be, and nothing is read or unpacked before that is found possible.  The
    array is read-only.

    Raises:
        BadInput: where the file cannot be read, is damaged, is something else or is too large for the memory.
    """
    try:
        with path.open("rb") as stored:
            beginning = stored.read(BEGINNING)
            packed = beginning.startswith(GZIP)
            if packed:
                beginning = zlib.decompressobj(wbits=31).decompress(beginning, BEGINNING)
            size = os.fstat(stored.fileno()).st_size
            shape = _shape(beginning, axes, path, size, packed=packed)
            stored.seek(0)
            with gzip.GzipFile(fileobj=stored) if packed else contextlib.nullcontext(stored) as file:
                content = _read(file, axes, shape, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path} is damaged: {error}", "an intact gzip file", "copy it again") from error
    except OSError as error:
        raise unreadable(path, error) from error
    return content, np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)


def _shape(beginning: bytes, axes: int, path: Path, stored: int, *, packed: bool) -> tuple[int, ...]:
    """The shape that a header tells, where a file of so many bytes on the disk can hold it and the memory too."""
    if beginning[:4] != bytes([0, 0, UNSIGNED_BYTE, axes]):
        raise not_idx(path, beginning, axes)
    shape = tuple(int.from_bytes(beginning[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes))
    expected = 4 + 4 * axes + math.prod(shape)
    # A packed file is at most a little larger than its content: what follows it would be read to its end too.
    possible = stored <= 1.01 * expected + 1000 and expected <= DEFLATE * stored if packed else stored == expected
    if not possible:
        raise _wrong_size(path, f"{stored:,}{' packed' if packed else ''}", expected, shape)
    _check_memory(path, expected)
    return shape


def _read(file: IO[bytes] | gzip.GzipFile, axes: int, shape: tuple[int, ...], path: Path) -> bytes:
    """The content of a file, which must have as many bytes as its header says."""
    expected = 4 + 4 * axes + math.prod(shape)
    try:
        content = file.read(expected + 1)
    except MemoryError as error:
        raise _too_large(path, expected, "this process may have no more") from error
    if len(content) != expected:
        raise _wrong_size(path, f"{'more than ' * (len(content) > expected)}{len(content):,}", expected, shape)
    return content


def _wrong_size(path: Path, seen: str, expected: int, shape: tuple[int, ...]) -> BadInput:
    return BadInput(f"{path} has {seen} bytes", f"{expected:,}, by its header of {shape}", "copy it again")


def _check_memory(path: Path, size: int) -> None:
    """Refuse a file whose images could not be trained on with all of the memory that there is."""
    memory = math.inf
    with contextlib.suppress(OSError, ValueError):  # a system that does not say
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # of a container; elsewhere there is no such file, or it says max
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    if IN_MEMORY * size > memory:
        raise _too_large(path, size, f"there are {memory / 1e9:,.1f} GB")


def _too_large(path: Path, size: int, limit: str) -> BadInput:
    return BadInput(
        f"{path} holds {size / 1e9:,.1f} GB, and training takes {IN_MEMORY * size / 1e9:,.1f} GB of memory: {limit}",
        "a set that fits into the memory; data.limit does not help, since the files are read whole",
        "data.root=FOLDER with fewer images",
    )
