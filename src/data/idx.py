"""Read IDX files, the format of MNIST, plain or packed with gzip.

An IDX file (Y. LeCun) starts with two zero bytes, the type of its values (8 for unsigned bytes) and the number of axes.
The length of each axis follows as a 32-bit big-endian integer, then the values in C order.
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
from src.data.memory import check_memory, memory_refusal
from src.data.refusals import not_idx_refusal, unreadable_refusal

Bytes = npt.NDArray[np.uint8]

UNSIGNED_BYTE = 8  # the type of the values in an IDX header
GZIP_MAGIC = b"\x1f\x8b"  # the first two bytes of a gzip file
MAX_COMPRESSION = 1032  # the highest compression ratio of gzip
RECOGNITION_SIZE = 1024  # number of bytes at a file's start that show its format


def read_idx(path: Path, axes: int) -> tuple[bytes, Bytes]:
    """Return an IDX file's unpacked content and its read-only array: images (N, H, W) for 3 axes, labels (N,) for 1.

    Before it reads the values, it compares the header with the file's size and the available memory.  Raises BadInput
    if the file is unreadable, damaged, in another format or too large.
    """
    try:
        with path.open("rb") as raw_file:
            first_bytes = raw_file.read(RECOGNITION_SIZE)
            packed = first_bytes.startswith(GZIP_MAGIC)
            if packed:
                first_bytes = zlib.decompressobj(wbits=31).decompress(first_bytes, RECOGNITION_SIZE)
            shape = _read_shape(first_bytes, axes, path, os.fstat(raw_file.fileno()).st_size, packed=packed)
            expected = 4 + 4 * axes + math.prod(shape)
            raw_file.seek(0)
            with gzip.GzipFile(fileobj=raw_file) if packed else contextlib.nullcontext(raw_file) as file:
                content = file.read(expected + 1)
    except MemoryError as error:
        raise memory_refusal(path, math.prod(shape), "this process may not use more") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path} is damaged: {error}", "an intact gzip file", advice="copy it again") from error
    except OSError as error:
        raise unreadable_refusal(path, error) from error
    if len(content) != expected:
        raise _size_refusal(path, f"{'more than ' * (len(content) > expected)}{len(content):,}", expected, shape)
    return content, np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)


def _read_shape(first_bytes: bytes, axes: int, path: Path, file_size: int, *, packed: bool) -> tuple[int, ...]:
    """Return the shape in an IDX header; raises BadInput if it contradicts the file's size or needs too much memory."""
    if first_bytes[:4] != bytes([0, 0, UNSIGNED_BYTE, axes]):
        raise not_idx_refusal(path, first_bytes, axes)
    shape = tuple(int.from_bytes(first_bytes[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes))
    expected = 4 + 4 * axes + math.prod(shape)
    size_is_possible = file_size == expected
    if packed:  # gzip would also read data appended to the content, so the file must not be much larger
        size_is_possible = file_size <= 1.01 * expected + 1000 and expected <= MAX_COMPRESSION * file_size
    if not size_is_possible:
        raise _size_refusal(path, f"{file_size:,}{' packed' if packed else ''}", expected, shape)
    check_memory(path, math.prod(shape))
    return shape


def _size_refusal(path: Path, size: str, expected: int, shape: tuple[int, ...]) -> BadInput:
    return BadInput(f"{path} has {size} bytes, but its header {shape} means {expected:,} bytes", advice="copy it again")
