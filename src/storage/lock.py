"""One owner a job."""

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

# What flock answers where a file system has no locks: NFS without its lock daemon, Lustre without -o flock, some FUSE.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


def is_owned(folder: Path) -> bool:
    """Whether a living process holds a job's folder; nobody does where the file system has no locks."""
    try:
        with open(folder / "lock", opener=_at_once) as file:  # a path's own `open` takes no opener
            return not _take(file, fcntl.LOCK_SH)  # shared: two who ask at once are no owners to each other
    except (FileNotFoundError, BadInput):
        return False


def _at_once(path: str, flags: int) -> int:
    """Open without waiting: somebody may have put a pipe in the place of a lock."""
    return os.open(path, flags | os.O_NONBLOCK)


@contextlib.contextmanager
def job_lock(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a job's folder, made where it is missing; who wants it too waits until this process is done or dead.

    The lock belongs to the open file, so that the system gives it back whatever ends the process.  It is taken in the
    process that trains, which starts no other: a child would inherit it and keep it.

    Raises:
        BadInput: where its file system has no locks.
        BlockingIOError: where another process holds it and `wait` is false.
    """
    with contextlib.ExitStack() as held:
        file = held.enter_context(_locked(folder, wait))
        while not _is_at(file, folder / "lock"):  # the folder was moved or deleted while its owner was waited for
            file = held.enter_context(_locked(folder, wait))
        yield


@contextlib.contextmanager
def _locked(folder: Path, wait: bool) -> Iterator[IO[str]]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:  # NFS wants it open for reading where the lock is shared
        if not _take(file, fcntl.LOCK_EX):
            if not _take(file, fcntl.LOCK_SH):  # else somebody merely asks, and is gone in a moment
                if not wait:
                    raise BlockingIOError(errno.EWOULDBLOCK, f"another process holds {folder}")
                log.warning("%s is being trained by another process: waiting for it", folder.name)
            flock(file, fcntl.LOCK_EX, folder)
        yield file


def _take(file: IO[str], kind: int) -> bool:
    """Lock an open file if that is possible at once.

    Raises:
        BadInput: where its file system has no locks.
    """
    try:
        flock(file, kind | fcntl.LOCK_NB, Path(file.name).parent)
    except (BlockingIOError, PermissionError):  # CIFS answers the second where another machine holds it
        return False
    return True


def flock(file: IO[Any] | int, kind: int, folder: Path) -> None:
    """Lock an open file or folder as `fcntl.flock` does.

    Raises:
        BadInput: naming `folder`, where its file system has no locks.
    """
    try:
        fcntl.flock(file, kind)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise BadInput(
            f"{folder} has no file locks, which keep two processes from training the same job: {error.strerror}",
            "a local disk, or a network file system that is mounted with locks",
            "cd FOLDER on such a disk, and the same command",
        ) from error


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder as such, while something is looked for and made that must be there once; others wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        flock(handle, fcntl.LOCK_EX, folder)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a file, made empty where it is missing, while it is read and replaced; others wait.

    Who has waited reads it by its path: the file that was waited for may be replaced by then.
    """
    with path.open("a+") as file:
        flock(file, fcntl.LOCK_EX, path.parent)
        yield
