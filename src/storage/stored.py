"""How a file of a folder is read: only a regular one, never more than expected, and every error names the file.

Whoever reads a file that a command left below `multirun` reads it here.  A full disk may have cut it, somebody may have
edited it, copied it from a colleague or put a directory or a pipe in its place.  ARCHITECTURE.md lists which function
checks which file.
"""

import json
import os
import shlex
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.bad_input import BadInput

LARGEST = 2**28  # bytes: 100 times the journal of 10,000 epochs, and the manifest of a million jobs


class Damaged(ValueError):
    """A file does not hold what its writer wrote."""

    def __init__(self, path: Path, what: str) -> None:
        self.what = what
        super().__init__(f"{path} {what}")


class NoAccess(BadInput):
    """A file belongs to another user, who has not opened it to others."""

    def __init__(self, path: Path) -> None:
        place = next(place for place in (path, *path.parents) if _can_be_seen(place))
        owner = owner_of(place)
        whose = "it" if place == path else str(place)
        folder = path.parent if place == path else place
        mend = f"chmod -R a+rX {shlex.quote(str(folder))}"
        self.what = f"{path} cannot be read: {whose} belongs to {owner}, who opens it by {mend}"
        super().__init__(f"{path} cannot be read: {whose} belongs to {owner}", "files that you may read", mend)


def read_stored(path: Path, at_most: int = LARGEST) -> bytes:
    """The content of a regular file.

    Raises:
        FileNotFoundError: where there is none.
        NoAccess: where its permissions do not allow it.
        Damaged: where it is no regular file, or larger than `at_most` bytes.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # without it a pipe that nobody writes to is waited for
    except PermissionError as error:
        raise NoAccess(path) from error
    except NotADirectoryError as error:
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise Damaged(path, "is no regular file")
        if state.st_size > at_most:
            raise Damaged(path, f"has {state.st_size:,} bytes, and can need {at_most:,} at most")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(at_most)
    finally:
        os.close(handle)


def exists(path: Path) -> bool:
    """Whether there is such a file, whatever it is.

    Raises:
        NoAccess: where the permissions of a folder above it hide the answer.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise NoAccess(path) from error
    return True


def is_regular(path: Path) -> bool:
    """Whether a path is a regular file, or a link to one.

    Raises:
        NoAccess: where the permissions of a folder above it hide the answer.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError as error:
        raise NoAccess(path) from error
    except OSError:  # nothing there, a link to nothing, a circle of links
        return False


def is_irregular(path: Path) -> bool:
    """Whether something other than a regular file stands at a path; a file that is gone by now is nothing.

    Raises:
        NoAccess: where the permissions of a folder above it hide the answer.
    """
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except PermissionError as error:
        raise NoAccess(path) from error
    except OSError:
        return path.is_symlink()  # to nothing, or in a circle


def parsed(content: bytes) -> Any:
    """The value of a JSON document.

    Raises:
        ValueError: for anything else, such as a number of a million digits or a list in a list in a list without end.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object as it is written: with a checksum, since a changed digit leaves a number a number."""
    return {**value, "crc": _crc(value)}


def seal_fits(value: Mapping[str, Any]) -> bool:
    """Whether an object is what was sealed; older versions wrote no checksum."""
    return "crc" not in value or value["crc"] == _crc(value)


def _crc(value: Mapping[str, Any]) -> str:
    body = json.dumps({name: inner for name, inner in value.items() if name != "crc"}, sort_keys=True)
    return f"{zlib.crc32(body.encode()):08x}"


def owner_of(path: Path) -> str:
    """The name of the user whose file it is, or the number where the system knows no name."""
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"


def _can_be_seen(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True
