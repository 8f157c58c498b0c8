"""Reading MNIST's IDX files, packed or not, with every byte accounted for.

The format (Y. LeCun): two zero bytes, 8 for unsigned bytes, the number of axes; each axis as a 32-bit big-endian
number; then the values, last axis fastest.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from src.bad_input import BadInput

Bytes = npt.NDArray[np.uint8]

UNSIGNED_BYTE = 8


def find_idx(root: Path, name: str, folder: str, endings: tuple[str, ...]) -> Path:
    """Where the IDX file `name` stands: in `root` or in torchvision's layout below it.

    Args:
        root: the folder that the user named.
        name: such as `train-images-idx3-ubyte`.
        folder: the folder that torchvision makes for this dataset, such as `MNIST`; empty for none.
        endings: of the file's name, the one that is preferred first: "" for a plain file, ".gz" for a packed one.

    Raises:
        BadInput: where the folder or the file is missing or may not be read.
    """
    files = [f"{name}{ending}" for ending in endings]
    wanted = "a folder with the four IDX files"
    try:
        if not root.is_dir():
            raise BadInput(f"data.root={root}: no such folder", wanted, "data.root=FOLDER, or leave it out")
        places = [root, root / folder / "raw", root / "raw"]
        found = [place / file for place in places for file in files if (place / file).is_file()]
    except OSError as error:
        raise BadInput(f"data.root={root} cannot be read: {error.strerror}", wanted) from error
    if not found:
        below = Path(folder, "raw")
        raise BadInput(f"data.root={root}: {name} is missing", f"{' or '.join(files)}, there or in {below}")
    return found[0]


def read_file(path: Path) -> bytes:
    """A file as it is stored.

    Raises:
        BadInput: where it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", "a file that you may read") from error


def unpack(stored: bytes, path: Path) -> bytes:
    """The content of a file whose name says whether it is packed.

    Raises:
        BadInput: where its packing is damaged.
    """
    try:
        return gzip.decompress(stored) if path.suffix == ".gz" else stored
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path} is damaged: {error}", "an intact gzip file", "copy it again") from error


def parse_idx(content: bytes, axes: int, path: Path) -> Bytes:
    """The array of an IDX file: images (N, H, W) with three axes, labels (N,) with one; read-only.

    Raises:
        BadInput: where type, number of axes or length are not what the header or `axes` says.
    """
    magic = bytes([0, 0, UNSIGNED_BYTE, axes])
    if content[:4] != magic:
        raise BadInput(
            f"{path} is no IDX file of this kind: it starts with {content[:4].hex() or 'nothing'}", magic.hex()
        )
    start = 4 + 4 * axes
    shape = tuple(int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes))
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise BadInput(f"{path} has {len(content):,} bytes", f"{expected:,}, by its header of {shape}", "copy it again")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
