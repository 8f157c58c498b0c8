"""Read IDX files, MNIST's format, plain or packed by gzip.

Format (Y. LeCun): two zero bytes, 8 for unsigned bytes, the number of axes; the length of each axis as a 32-bit
big-endian number; the values, last axis fastest.
"""

import contextlib
import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from src.bad_input import BadInput
from src.data.refusals import not_idx, unreadable

Bytes = npt.NDArray[np.uint8]

UNSIGNED_BYTE = 8
GZIP = b"\x1f\x8b"  # the first bytes of a packed file
DEFLATE = 1032  # gzip's best compression ratio
BEGINNING = 1024  # bytes read to recognise a file
IN_MEMORY = 5  # bytes per pixel while a job trains: the byte and a 32-bit float


def read_idx(path: Path, axes: int) -> tuple[bytes, Bytes]:
    """Return an IDX file's unpacked content and its read-only array: images (N, H, W) for 3 axes, labels (N,) for 1.

    Compares the header with the file's size and the memory before it reads or unpacks the rest.  Raises BadInput if the
    file is unreadable, damaged, in another format, or too large.
    """
    try:
        with path.open("rb") as stored:
            beginning = stored.read(BEGINNING)
            packed = beginning.startswith(GZIP)
            if packed:
                beginning = zlib.decompressobj(wbits=31).decompress(beginning, BEGINNING)
            shape = _shape(beginning, axes, path, os.fstat(stored.fileno()).st_size, packed=packed)
            expected = 4 + 4 * axes + math.prod(shape)
            stored.seek(0)
            with gzip.GzipFile(fileobj=stored) if packed else contextlib.nullcontext(stored) as file:
                content = file.read(expected + 1)
    except MemoryError as error:
        raise _too_large(path, expected, "this process may have no more") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path} is damaged: {error}", "an intact gzip file", "copy it again") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if len(content) != expected:
        raise _wrong_size(path, f"{'more than ' * (len(content) > expected)}{len(content):,}", expected, shape)
    return content, np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)


def _shape(beginning: bytes, axes: int, path: Path, stored: int, *, packed: bool) -> tuple[int, ...]:
    """Return the shape in a header; raises BadInput unless the file's size on disk and the memory for training fit."""
    if beginning[:4] != bytes([0, 0, UNSIGNED_BYTE, axes]):
        raise not_idx(path, beginning, axes)
    shape = tuple(int.from_bytes(beginning[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes))
    expected = 4 + 4 * axes + math.prod(shape)
    # gzip also reads everything behind the content: a packed file must not be much larger than its content.
    possible = stored <= 1.01 * expected + 1000 and expected <= DEFLATE * stored if packed else stored == expected
    if not possible:
        raise _wrong_size(path, f"{stored:,}{' packed' if packed else ''}", expected, shape)
    memory = math.inf
    with contextlib.suppress(OSError, ValueError):  # the system does not say
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # a container's limit; elsewhere no file, or `max`
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    if IN_MEMORY * expected > memory:
        raise _too_large(path, expected, f"there are {memory / 1e9:,.1f} GB")
    return shape


def _wrong_size(path: Path, size: str, expected: int, shape: tuple[int, ...]) -> BadInput:
    return BadInput(f"{path} has {size} bytes", f"{expected:,}, by its header of {shape}", "copy it again")


def _too_large(path: Path, size: int, limit: str) -> BadInput:
    return BadInput(
        f"{path} holds {size / 1e9:,.1f} GB, and training takes {IN_MEMORY * size / 1e9:,.1f} GB of memory: {limit}",
        "a set that fits into the memory; data.limit does not help, since the files are read whole",
        "data.root=FOLDER with fewer images",
    )
