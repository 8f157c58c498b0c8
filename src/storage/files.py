"""Files that stand under their final name whole or not at all."""

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What a file system answers that cannot flush a folder or a file (CIFS, VirtualBox and WSL shares).  It has no stronger
# promise to give, so nothing is gained by refusing to work on it.  A failing disk answers EIO, a full one ENOSPC.
CANNOT_FLUSH = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
CANNOT_OPEN_FOLDER = (errno.EISDIR, errno.EACCES, errno.EINVAL)
NAME_KEPT = 30  # characters of a file's name in its temporary file's: some disks take 143 bytes (ecryptfs)


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` so that a crash at any moment leaves the old file or the new one, never a part.

    A temporary file beside it is written and flushed to the disk, renamed over `path`, and the folder flushed too.

    Raises:
        OSError: naming `path`, where the disk is full, say; the old file stays.
    """
    temporary = path.with_name(f".{path.name[:NAME_KEPT]}.{os.getpid()}")
    with named(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                flush_to_disk(file.fileno())
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
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno not in CANNOT_OPEN_FOLDER:
            raise
        return
    try:
        flush_to_disk(handle)
    finally:
        os.close(handle)


def flush_to_disk(handle: int) -> None:
    """Wait until the disk has an open file or folder; a file system that knows no such call is taken as it is."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in CANNOT_FLUSH:
            raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically.  NaN and infinity are refused: they are no JSON."""
    write_atomic(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
