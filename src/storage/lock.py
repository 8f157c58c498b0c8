"""Locks that keep two processes from working on the same job, folder or file."""

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from src.bad_input import BadInput

log = logging.getLogger(__name__)

# Errors of file systems without locks: NFS without its lock daemon, Lustre without -o flock, some FUSE.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def is_owned(folder: Path) -> bool:
    """Whether a living process holds a job's folder; False on a file system without locks."""
    try:
        # O_NONBLOCK: a pipe in place of the lock must not hang.
        with open(folder / "lock", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            return not _take(file, fcntl.LOCK_SH)  # shared: two processes that only check do not see each other
    except (FileNotFoundError, BadInput):
        return False


@contextlib.contextmanager
def job_lock(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a job's folder, created if missing; waits while another process holds it.

    The system releases the lock when this process ends, however it ends.  The process must start no other, since a
    child would inherit the lock.  Raises BadInput if the file system has no locks, and BlockingIOError if another
    process holds the folder and `wait` is false.
    """
    file = None
    with contextlib.ExitStack() as files:
        while file is None or not _is_at(file, folder / "lock"):  # the folder may move while this process waits
            folder.mkdir(parents=True, exist_ok=True)
            file = files.enter_context((folder / "lock").open("a+"))  # NFS needs read access for a shared lock
            if not _take(file, fcntl.LOCK_EX):
                if not _take(file, fcntl.LOCK_SH):  # if this succeeds, the other process only checks and is soon done
                    if not wait:
                        raise BlockingIOError(errno.EWOULDBLOCK, f"another process holds {folder}")
                    log.warning("%s is being trained by another process: waiting for it", folder.name)
                flock(file, fcntl.LOCK_EX, folder)
        yield


def _take(file: IO[str], kind: int) -> bool:
    """Whether an open file could be locked without waiting."""
    try:
        flock(file, kind | fcntl.LOCK_NB, Path(file.name).parent)
    except (BlockingIOError, PermissionError):  # CIFS raises PermissionError if another machine holds the lock
        return False
    return True


def flock(file: IO[Any] | int, kind: int, folder: Path) -> None:
    """Lock an open file or folder like `fcntl.flock`; raises BadInput naming `folder` if there are no locks."""
    try:
        fcntl.flock(file, kind)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise BadInput(
            f"{folder} has no file locks, which keep two processes from training the same job: {error.strerror}",
            "a local disk, or a network file system mounted with locks",
            "cd FOLDER on such a disk, then the same command",
        ) from error


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder while this process looks for something and creates it if missing; others wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        flock(handle, fcntl.LOCK_EX, folder)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a file, created empty if missing, while this process reads and replaces it; others wait.

    After waiting, read the file by its path: the locked one may have been replaced.
    """
    with path.open("a+") as file:
        flock(file, fcntl.LOCK_EX, path.parent)
        yield
