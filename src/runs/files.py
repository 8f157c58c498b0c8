"""Files that stand under their final name whole or not at all."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` so that a crash at any moment leaves the old file or the new one, never a part.

    A temporary file beside it is written and flushed to the disk, renamed over `path`, and the folder flushed too.

    Raises:
        OSError: naming `path`, where the disk is full, say; the old file stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with named(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an error say which file it is about: the system itself does not where an open file cannot be written."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_partial_files(folder: Path, *, shared: bool = False) -> None:
    """Remove what a killed `write_atomic` has left, and nothing else.

    Args:
        folder: one that nobody else writes to, unless `shared`.
        shared: leave what a living process of this machine may still be writing.
    """
    for path in folder.glob(".*.[0-9]*"):
        number = path.suffix[1:]
        if number.isdigit() and path.is_file() and not (shared and _lives(int(number))):
            path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    """Whether there is another process of this number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()


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
