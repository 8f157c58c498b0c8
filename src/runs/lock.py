"""One owner a job."""

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)


def is_owned(folder: Path) -> bool:
    """Whether a living process holds a job's folder."""
    try:
        with open(folder / "lock", opener=_at_once) as file:  # a path's own `open` takes no opener
            return not _take(file, fcntl.LOCK_SH)  # shared: two who ask at once are no owners to each other
    except FileNotFoundError:
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
    with (folder / "lock").open("a") as file:
        if not _take(file, fcntl.LOCK_EX):
            if not _take(file, fcntl.LOCK_SH):  # else somebody merely asks, and is gone in a moment
                if not wait:
                    raise BlockingIOError(errno.EWOULDBLOCK, f"another process holds {folder}")
                log.warning("%s is being trained by another process: waiting for it", folder.name)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _take(file: IO[str], kind: int) -> bool:
    """Lock an open file if that is possible at once."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
