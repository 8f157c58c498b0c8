"""Gives each `multirun` folder an id: a moved folder keeps its id, and a copied folder gets a new one.

Several people may deliver to one MLflow store.  A command changes only runs with the id of its own `multirun` folder.
"""

import os
import platform
import re
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from src.runs.folder import SUPERSEDED
from src.storage.files import move_aside, remove_partial_files, write_json
from src.storage.lock import file_lock
from src.storage.stored import NoAccess, is_irregular, parse_json, read_stored

ID_FILE = "identity.json"
MAX_ID_FILE_SIZE = 100_000  # bytes
MOST_COPIES = 100  # a copy of a copy remembers at most this many earlier folder ids
FIELD_TYPES = {"id": str, "place": str, "machine": str, "inode": int, "copied_from": list, "original": str}


@dataclass(frozen=True)
class Multirun:
    """A `multirun` folder, its id and its origin."""

    path: Path  # the folder's absolute path without links
    project: Path  # the absolute path of the folder above `multirun`, as the user typed it
    id: str  # 32 hexadecimal digits
    copied_from: tuple[str, ...] = ()  # the ids of the folders that it was copied from, the latest last
    original: str = ""  # the path of the folder that this one was copied from
    new: bool = False  # the id is not stored in the folder yet
    notice: str = ""  # tells the user that the folder was moved or copied

    @property
    def artifacts(self) -> str:
        """The URI of the folder for the files of its runs, for a store that keeps no files itself."""
        return (self.path / "artifacts").as_uri()

    @property
    def name(self) -> str:
        """A short name, such as `project 1a2b`, that distinguishes this folder from other people's folders."""
        return f"{self.project.name} {self.id[:4]}".strip()


def identify_folder(folder: Path) -> Multirun:
    """Return a folder with its id, which is new if the folder is new or a copy; `save_identity` stores it.

    A moved folder keeps its inode.  A folder from another disk or machine counts as a copy.
    """
    path, project = folder.resolve(), folder.absolute().parent
    stored = _read_identity(path / ID_FILE)
    if stored is None:
        return Multirun(path, project, uuid.uuid4().hex, new=True)
    multirun = Multirun(path, project, stored["id"], tuple(stored["copied_from"]), stored["original"])
    if _is_at_stored_path(path, stored):
        return multirun
    if _was_moved(path, stored):
        return replace(multirun, notice=f"{stored['place']} was moved to {path}; its runs in MLflow are updated")
    origin = stored["place"] if stored["place"] != str(path) else f"{path} on {stored['machine']}"
    return replace(
        multirun,
        id=uuid.uuid4().hex,
        copied_from=(*multirun.copied_from, multirun.id)[-MOST_COPIES:],
        original=stored["place"],
        notice=f"{path} is a copy of {origin}, so it gets its own runs in MLflow",
    )


def save_identity(multirun: Multirun) -> Multirun:
    """Store a folder's new id and return the folder; an id that another command stored first wins.

    If this user may not write to the folder, its id is not stored but computed from the machine's name and the path.
    """
    path = multirun.path
    path.mkdir(parents=True, exist_ok=True)
    if not (multirun.new or multirun.notice):
        return multirun
    if not os.access(path, os.W_OK):
        return replace(multirun, id=uuid.uuid5(uuid.NAMESPACE_URL, f"{platform.node()}:{path}").hex, new=False)
    location = {"place": str(path), "machine": platform.node(), "inode": path.stat().st_ino}
    origin = {"copied_from": list(multirun.copied_from), "original": multirun.original}
    remove_partial_files(path, shared=True)
    if is_irregular(path / ID_FILE):
        move_aside(path / ID_FILE, path / SUPERSEDED)
    with file_lock(path / ID_FILE):
        stored = _read_identity(path / ID_FILE)
        if stored is not None and _is_at_stored_path(path, stored):
            return replace(multirun, id=stored["id"], copied_from=tuple(stored["copied_from"]), new=False)
        write_json(path / ID_FILE, {"id": multirun.id, **location, **origin})
    return replace(multirun, new=False)


def _is_at_stored_path(path: Path, stored: dict[str, Any]) -> bool:
    """Whether a folder is still at the path, and on the machine, that its identity file names."""
    is_on_this_machine = stored["machine"] == platform.node() or stored["inode"] == path.stat().st_ino
    return bool(stored["place"] == str(path) and is_on_this_machine)


def _was_moved(path: Path, stored: dict[str, Any]) -> bool:
    """Whether a folder was moved: it has the stored inode, and no folder with this inode is at the stored path."""
    original = Path(stored["place"])
    if original == path or path.stat().st_ino != stored["inode"]:
        return False
    try:
        return original.stat().st_ino != stored["inode"] or original.samefile(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # for example, another user's folder may not be read
        return False


def _read_identity(path: Path) -> dict[str, Any] | None:
    """Return the content of an identity file, or None if the file is missing or damaged."""
    try:
        stored = parse_json(read_stored(path, MAX_ID_FILE_SIZE))
    except (OSError, ValueError, NoAccess):
        return None
    if not isinstance(stored, dict) or not all(isinstance(stored.get(key), kind) for key, kind in FIELD_TYPES.items()):
        return None
    ids = [stored["id"], *stored["copied_from"]]
    ids_are_valid = all(isinstance(item, str) and re.fullmatch("[0-9a-f]{32}", item) for item in ids)
    return {name: stored[name] for name in FIELD_TYPES} if ids_are_valid else None
