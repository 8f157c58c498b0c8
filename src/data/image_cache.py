"""Keep the decoded images of a folder in a file, so that the next command reads them at once."""

import contextlib
import hashlib
import logging
import os
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from src.bad_input import BadInput
from src.data.idx import Bytes
from src.data.npz import read_array, read_headers
from src.storage.files import open_atomic, remove_partial_files
from src.storage.lock import file_lock

log = logging.getLogger(__name__)

Arrays = dict[str, Bytes]
MOST_BYTES = 4 * 10**9  # of all caches together
MOST_DAYS = 60  # since the last use of a cache
FINGERPRINT = "fingerprint"  # the name of the array that identifies the files that the images were decoded from


def cached(path: Path, fingerprint: str, decode: Callable[[], Arrays]) -> Arrays:
    """Return the arrays that `decode` returns, from the file `path` if it was written with the same fingerprint.

    If two processes need the same images, one decodes them and the other waits.  A damaged cache is written again.  If
    the cache cannot be written, for example because the disk is full, a warning says so.  Writing a cache removes the
    caches that were not used for `MOST_DAYS`, and the least recently used ones if all together exceed `MOST_BYTES`.
    """
    arrays = _read(path, fingerprint)
    if arrays is not None:
        return arrays
    with contextlib.ExitStack() as locks:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            locks.enter_context(file_lock(path.with_suffix(".lock")))
        except (OSError, BadInput) as error:  # no permission, or a file system without locks
            log.warning("decoded images are not kept, because %s cannot be locked: %s", path.parent, error)
            return decode()
        arrays = _read(path, fingerprint)  # another process may have written it during the wait
        if arrays is None:
            arrays = decode()
            _write(path, fingerprint, arrays)
        return arrays


def _read(path: Path, fingerprint: str) -> Arrays | None:
    """Return the arrays in the file `path`, or None if it is missing, damaged or has another fingerprint."""
    try:
        with zipfile.ZipFile(path) as archive:
            headers = read_headers(archive)
            if any(dtype != np.uint8 for _, dtype in headers.values()):
                return None
            if FINGERPRINT not in headers or read_array(archive, FINGERPRINT).tobytes().hex() != fingerprint:
                return None
            arrays = {name: read_array(archive, name) for name in headers if name != FINGERPRINT}
        with contextlib.suppress(OSError):  # for example, on a read-only disk
            os.utime(path)  # the time of the last use
        return arrays
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError):
        return None


def _write(path: Path, fingerprint: str, arrays: Arrays) -> None:
    size = sum(array.nbytes for array in arrays.values())
    try:
        remove_partial_files(path.parent, shared=True)
        content: dict[str, Any] = {FINGERPRINT: np.frombuffer(bytes.fromhex(fingerprint), dtype=np.uint8)} | arrays
        with open_atomic(path) as file:
            np.savez(file, **content)
        log.warning("kept the decoded images (%s MB) in %s; the next command reads them at once", size // 10**6, path)
        with contextlib.suppress(OSError):  # for example, another process removes them
            _remove_old_caches(path)
    except OSError as error:
        log.warning("decoded images are not kept (%s MB): %s", size // 10**6, error)


def _remove_old_caches(newest: Path) -> None:
    """Remove caches until the bounds hold, but not the cache `newest`; a process that uses a cache has it in memory."""
    others = [(path, path.stat()) for path in newest.parent.glob("*.npz") if path != newest]
    total = newest.stat().st_size
    for path, status in sorted(others, key=lambda other: -other[1].st_mtime):
        total += status.st_size
        if total > MOST_BYTES or status.st_mtime < time.time() - MOST_DAYS * 86400:
            path.unlink(missing_ok=True)
            path.with_suffix(".lock").unlink(missing_ok=True)


def cache_bytes(folder: Path) -> int:
    """Return the size of all caches in a folder."""
    return sum(path.stat().st_size for path in folder.glob("*.npz"))


def cache_name(*parts: object) -> str:
    """Return a file name for a cache that depends on `parts`."""
    return f"{hashlib.sha256(repr(parts).encode(errors='surrogateescape')).hexdigest()[:16]}.npz"
