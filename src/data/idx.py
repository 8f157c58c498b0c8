"""Reading MNIST's IDX files, packed or not, with every byte accounted for.

The format (Y. LeCun): two zero bytes, 8 for unsigned bytes, the number of axes; each axis as a 32-bit big-endian
number; then the values, last axis fastest.
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from src.bad_input import BadInput

Bytes = npt.NDArray[np.uint8]

UNSIGNED_BYTE = 8


def find_idx(root: Path, name: str, folder: str) -> Path:
    """Where the IDX file `name` stands: in `root` or in torchvision's layout below it, plain rather than packed.

    Args:
        root: the folder that the user named.
        name: such as `train-images-idx3-ubyte`.
        folder: the folder that torchvision makes for this dataset, such as `MNIST`; empty for none.

    Raises:
        BadInput: where the folder or the file is missing or may not be read.
    """
    wanted = "a folder with the four IDX files"
    places = [root, root / folder / "raw", root / "raw"]
    try:
        if not root.is_dir():
            raise BadInput(f"data.root={root}: no such folder", wanted, "data.root=FOLDER, or leave it out")
        found = [path for place in places for path in (place / name, place / f"{name}.gz") if path.is_file()]
    except OSError as error:
        raise BadInput(f"data.root={root} cannot be read: {error.strerror}", wanted) from error
    if not found:
        layout = Path(folder, "raw")
        raise BadInput(f"data.root={root}: {name} is missing", f"{name} or {name}.gz, there or in {layout}")
    return found[0]


def read_bytes(path: Path) -> bytes:
    """The unpacked content of a file.

    Raises:
        BadInput: where it cannot be read or its packing is damaged.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path} is damaged: {error}", "an intact gzip file", "copy it again") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", "a file that you may read") from error


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


def sha256(content: bytes) -> str:
    """The digest that a file is known by, taken of the unpacked bytes."""
    return hashlib.sha256(content).hexdigest()
