"""Files that stand under their final name whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` so that a crash at any moment leaves the old file or the new one, never a part.

    A temporary file beside it is written and flushed to the disk, renamed over `path`, and the folder flushed too.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def remove_partial_files(folder: Path) -> None:
    """Remove what a killed `write_atomic` has left; for a folder that nobody else writes to."""
    for path in folder.glob(".*"):
        path.unlink()


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a new or renamed file survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically.  NaN and infinity are refused: they are no JSON."""
    write_atomic(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
