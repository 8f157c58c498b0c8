"""Reads files that an earlier command wrote: only regular files of limited size; every error names the path.

A stored file may be cut off, edited, copied from another folder, or replaced by a folder or a pipe.  The section "What
is checked where" of ARCHITECTURE.md names the function that checks each file.
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

MAX_FILE_SIZE = 2**28  # bytes; enough for 100 journals of 10,000 epochs, or for the manifest of a million jobs


class DamagedFile(ValueError):
    """Raised for a file with missing or wrong content; `reason` describes the fault without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{path} {reason}")


class NoAccess(BadInput):
    """Raised for a file that this user may not read; `reason` names its owner and the command that gives access."""

    def __init__(self, path: Path) -> None:
        owner = owner_of(visible := nearest_visible(path))
        refusal = f"you may not read {path}, {'which' if visible == path else f'because {visible}'} belongs to {owner}"
        command = f"chmod -R a+rX {shlex.quote(str(path.parent if visible == path else visible))}"
        super().__init__(refusal, advice=f"ask {owner} to run {command}")
        self.reason = f"{refusal}; ask {owner} to run {command}"


def read_stored(path: Path, at_most: int = MAX_FILE_SIZE) -> bytes:
    """Return the content of a file.

    Raises FileNotFoundError if there is no file, NoAccess if this user may not read it, and DamagedFile if it is not a
    regular file or has more than `at_most` bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # O_NONBLOCK: opening a pipe must not hang
    except PermissionError as error:
        raise NoAccess(path) from error
    except NotADirectoryError as error:
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    try:
        file_status = os.fstat(descriptor)
        if not stat.S_ISREG(file_status.st_mode):
            raise DamagedFile(path, "is not a regular file")
        if file_status.st_size > at_most:
            raise DamagedFile(path, f"has {file_status.st_size:,} bytes; at most {at_most:,} are expected")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(file_status.st_size)  # a larger number would reserve as many bytes first
    finally:
        os.close(descriptor)


def exists(path: Path) -> bool:
    """Whether a path exists, even as a broken link; raises NoAccess if this user may not look there."""
    return _file_mode(path) is not None or path.is_symlink()


def is_regular(path: Path) -> bool:
    """Whether a path is a regular file or a link to one; raises NoAccess if this user may not look there."""
    mode = _file_mode(path)
    return mode is not None and stat.S_ISREG(mode)


def is_irregular(path: Path) -> bool:
    """Whether a path exists and is not a regular file; raises NoAccess if this user may not look there."""
    return exists(path) and not is_regular(path)


def _file_mode(path: Path) -> int | None:
    """Return a file's type and permissions, or None if there is no file or its link is broken or circular."""
    try:
        return path.stat().st_mode
    except PermissionError as error:
        raise NoAccess(path) from error
    except OSError:
        return None


def parse_json(content: bytes) -> Any:
    """Return the value of a JSON document; raises ValueError for other content and for nesting that is too deep."""
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_sealed(path: Path, find_fault: Callable[[Any], str], at_most: int = MAX_FILE_SIZE) -> Any:
    """Return the object in a JSON file, after checking it with `find_fault` and with the checksum in its field `crc`.

    Files of older versions have no checksum.  Raises DamagedFile if a check fails, and the errors of `read_stored`.
    """
    content = read_stored(path, at_most)
    try:
        value = parse_json(content)
    except ValueError as error:
        raise DamagedFile(path, "is not JSON") from error
    if reason := find_fault(value):
        raise DamagedFile(path, reason)
    if "crc" in value and value.pop("crc") != _checksum(value):
        raise DamagedFile(path, "is damaged")
    return value


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with its checksum in the added field `crc`; `read_sealed` checks it."""
    return {**value, "crc": _checksum(value)}


def _checksum(value: Mapping[str, Any]) -> str:
    body = json.dumps({name: item for name, item in value.items() if name != "crc"}, sort_keys=True)
    return f"{zlib.crc32(body.encode()):08x}"


def owner_of(path: Path) -> str:
    """Return the name of the user who owns a file, or `user NUMBER` if the system has no name for that user."""
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"


def nearest_visible(path: Path) -> Path:
    """Return the path, or the nearest folder above it, that this user can see."""
    for visible in (path, *path.parents):
        with contextlib.suppress(OSError):
            visible.stat()
            return visible
    return Path()
