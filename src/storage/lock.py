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

# Errors of file systems without locks: NFS without its lock daemon, Lustre without -o flock, some FUSE mounts.
UNSUPPORTED_LOCK_ERRORS = (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a job's folder; False on a file system without locks."""
    try:
        # O_NONBLOCK: if the lock file was replaced by a pipe, opening it must not hang.
        with open(folder / "lock", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            return not _try_lock(file, fcntl.LOCK_SH)  # a shared lock, so checks do not block each other
    except (FileNotFoundError, BadInput):
        return False


@contextlib.contextmanager
def job_lock(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a job's folder, which is created if missing; waits until other processes release the lock.

    The system releases the lock when this process ends, even if it is killed.  A process that holds the lock must not
    start a child process, which would inherit the lock.  Raises BadInput if the file system has no locks, and
    BlockingIOError if another process holds the lock and `wait` is false.
    """
    file = None
    with contextlib.ExitStack() as files:
        while file is None or not _is_file_at(file, folder / "lock"):  # the folder may move while this process waits
            folder.mkdir(parents=True, exist_ok=True)
            file = files.enter_context((folder / "lock").open("a+"))  # NFS needs read access for a shared lock
            if not _try_lock(file, fcntl.LOCK_EX):
                if not _try_lock(file, fcntl.LOCK_SH):  # a process that only checks the lock allows a shared lock
                    if not wait:
                        raise BlockingIOError(errno.EWOULDBLOCK, f"another process has locked {folder}")
                    log.warning("another process is training %s; waiting for it to end", folder.name)
                flock(file, fcntl.LOCK_EX, folder)
        yield


def _try_lock(file: IO[str], mode: int) -> bool:
    """Lock an open file without waiting, and return whether this succeeded."""
    try:
        flock(file, mode | fcntl.LOCK_NB, Path(file.name).parent)
    except (BlockingIOError, PermissionError):  # CIFS raises PermissionError while another machine holds the lock
        return False
    return True


def flock(file: IO[Any] | int, mode: int, folder: Path) -> None:
    """Call `fcntl.flock`; raises BadInput, which names `folder`, on a file system without locks."""
    try:
        fcntl.flock(file, mode)
    except OSError as error:
        if error.errno not in UNSUPPORTED_LOCK_ERRORS:
            raise
        raise BadInput(
            f"{folder} has no file locks, which keep two processes from training the same job: {error.strerror}",
            "a local disk, or a network file system mounted with locks",
            advice="change to a folder on such a disk and repeat the command",
        ) from error


def _is_file_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder's lock while this process creates something in it; waits until other processes release the lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        flock(descriptor, fcntl.LOCK_EX, folder)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is created empty if missing; waits until other processes release the lock.

    Open the file again after this call: another process may have replaced it during the wait.
    """
    with path.open("a+") as file:
        flock(file, fcntl.LOCK_EX, path.parent)
        yield
