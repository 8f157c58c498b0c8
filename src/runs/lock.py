"""One owner a job."""

import contextlib
import fcntl
import logging
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)


def is_owned(folder: Path) -> bool:
    """Whether a living process holds a job's folder."""
    path = folder / "lock"
    if not path.exists():
        return False
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def job_lock(folder: Path) -> Iterator[None]:
    """Hold a job's folder; another process that wants it waits until this one is done or dead.

    The lock belongs to the open file, so that the system gives it back whatever ends the process.  It is taken in the
    process that trains, which starts no other: a child would inherit it and keep it.
    """
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("%s is being trained by another process: waiting for it", folder.name)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
