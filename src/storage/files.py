"""Writes files; a crash never leaves a partial file under its final name."""

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

# CIFS, VirtualBox and WSL shares may raise these errors on a flush.  Files on them are then written without a flush.
UNSUPPORTED_FLUSH_ERRORS = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
UNSUPPORTED_OPEN_ERRORS = (errno.EISDIR, errno.EACCES, errno.EINVAL)  # from file systems that cannot flush a folder
MAX_NAME_CHARACTERS = 30  # a temporary file's name holds this many characters of the final name; ecryptfs allows 143


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file; a crash or an OSError leaves either the old file or the complete new one."""
    with open_atomic(path) as file:
        file.write(content)


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write it; a crash or an error leaves either the old file or the complete new one.

    Flushes a temporary file in the same folder to disk, renames it to `path`, and flushes the folder.
    """
    temporary = path.with_name(f".{path.name[:MAX_NAME_CHARACTERS]}.{os.getpid()}")
    with add_path_to_errors(path):
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                flush_to_disk(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        flush_folder_to_disk(path.parent)


@contextlib.contextmanager
def add_path_to_errors(path: Path) -> Iterator[None]:
    """Add a file's path to any OSError; the system's errors about writing to an open file do not name it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_partial_files(folder: Path, *, shared: bool = False) -> None:
    """Remove the temporary files that a killed `write_atomic` left in a folder.

    Set `shared` if other processes may write to the folder: files of processes that still run here are then kept.
    """
    for path in folder.glob(".*.[0-9]*"):
        process_id = path.suffix[1:]
        if process_id.isdigit() and path.is_file() and not (shared and _is_other_running_process(int(process_id))):
            path.unlink(missing_ok=True)


def _is_other_running_process(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)  # signal 0 only checks whether the process exists
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process_id != os.getpid()


def move_aside(path: Path, folder: Path) -> None:
    """Move a file or folder into another folder, with the current time in its name."""
    target = folder / f"{path.name}-{time.time_ns() // 1_000_000}"
    folder.mkdir(exist_ok=True)
    path.rename(target)
    flush_folder_to_disk(folder)
    flush_folder_to_disk(path.parent)


def flush_folder_to_disk(folder: Path) -> None:
    """Flush a folder's list of files to disk, so a new or renamed file survives a power cut."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno not in UNSUPPORTED_OPEN_ERRORS:
            raise
        return
    try:
        flush_to_disk(descriptor)
    finally:
        os.close(descriptor)


def flush_to_disk(descriptor: int) -> None:
    """Wait until an open file or folder is on disk; does nothing on file systems that cannot flush."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED_FLUSH_ERRORS:
            raise


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON with `write_atomic`; raises ValueError for NaN and infinity."""
    write_atomic(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
