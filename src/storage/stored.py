"""Read files that an earlier command left: regular files only, of limited size, with the path in every error.

A stored file may be cut, edited, copied from elsewhere, or replaced by a folder or pipe.  ARCHITECTURE.md, "What is
checked where", names the function that checks each file.
"""

import contextlib
import json
import os
import shlex
import stat
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from src.bad_input import BadInput

LARGEST = 2**28  # bytes: 100 times the journal of 10,000 epochs, or the manifest of a million jobs


class Damaged(ValueError):
    """A file does not hold what its writer wrote; `reason` says why, without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{path} {reason}")


class NoAccess(BadInput):
    """Permissions hide a file of another user; `reason` names the owner and the command that opens it."""

    def __init__(self, path: Path) -> None:
        place = nearest_visible(path)
        refusal = f"{path} cannot be read: {'it' if place == path else place} belongs to {owner_of(place)}"
        command = f"chmod -R a+rX {shlex.quote(str(path.parent if place == path else place))}"
        self.reason = f"{refusal}, who can allow it with {command}"
        super().__init__(refusal, "files that you may read", command)


def read_stored(path: Path, at_most: int = LARGEST) -> bytes:
    """Return the content of a file.

    Raises FileNotFoundError; NoAccess if permissions do not allow reading; Damaged if it is not a regular file, or has
    more than `at_most` bytes.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # O_NONBLOCK: opening a pipe must not hang
    except PermissionError as error:
        raise NoAccess(path) from error
    except NotADirectoryError as error:
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise Damaged(path, "is not a regular file")
        if state.st_size > at_most:
            raise Damaged(path, f"has {state.st_size:,} bytes; at most {at_most:,} are expected")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(at_most)
    finally:
        os.close(handle)


def exists(path: Path) -> bool:
    """Whether anything is at a path, even a link to nothing; raises NoAccess if permissions hide the answer."""
    return _mode(path) is not None or path.is_symlink()


def is_regular(path: Path) -> bool:
    """Whether a path is a regular file or a link to one; raises NoAccess if permissions hide the answer."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def is_irregular(path: Path) -> bool:
    """Whether anything but a regular file is at a path; raises NoAccess if permissions hide the answer."""
    return exists(path) and not is_regular(path)


def _mode(path: Path) -> int | None:
    """Return a file's type and permissions, or None for nothing, a link to nothing, or a circle of links."""
    try:
        return path.stat().st_mode
    except PermissionError as error:
        raise NoAccess(path) from error
    except OSError:
        return None


def parsed(content: bytes) -> Any:
    """Return the value of a JSON document; anything else raises ValueError, endless nesting included."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_sealed(path: Path, fault: Callable[[Any], str], at_most: int = LARGEST) -> Any:
    """Return the object in a JSON file if `fault` finds nothing and the checksum, which older files lack, fits.

    Raises like `read_stored`, and Damaged for any other content.
    """
    content = read_stored(path, at_most)
    try:
        value = parsed(content)
    except ValueError as error:
        raise Damaged(path, "is not JSON") from error
    if reason := fault(value):
        raise Damaged(path, reason)
    if "crc" in value and value.pop("crc") != _crc(value):
        raise Damaged(path, "is damaged")
    return value


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with its checksum, which reveals a changed digit."""
    return {**value, "crc": _crc(value)}


def _crc(value: Mapping[str, Any]) -> str:
    body = json.dumps({name: inner for name, inner in value.items() if name != "crc"}, sort_keys=True)
    return f"{zlib.crc32(body.encode()):08x}"


def owner_of(path: Path) -> str:
    """Return the name of a file's owner, or `user NUMBER` if the system knows no name."""
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"


def nearest_visible(path: Path) -> Path:
    """Return the path, or the nearest folder above it whose owner and permissions can be read."""
    for place in (path, *path.parents):
        with contextlib.suppress(OSError):
            place.stat()
            return place
    return Path()
