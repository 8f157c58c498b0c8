"""The identity of a `multirun` folder: a moved folder keeps it, and a copy gets a new one.

Several people may deliver to one MLflow store.  A command changes only the runs with its own folder's identity.
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

FILE = "identity.json"
LARGEST = 100_000  # bytes
COPIES = 100  # earlier identities that a copy of a copy keeps
KINDS = {"id": str, "place": str, "machine": str, "inode": int, "copied_from": list, "original": str}


@dataclass(frozen=True)
class Multirun:
    """A `multirun` folder and its identity."""

    path: Path  # absolute, links followed
    project: Path  # absolute: the folder above it, as the user typed it
    id: str  # 32 hexadecimal digits
    copied_from: tuple[str, ...] = ()  # the originals' identities, the latest last
    original: str = ""  # the path of the folder that this one was copied from
    new: bool = False  # the identity is not stored yet
    notice: str = ""  # for the user: the folder was just moved or copied

    @property
    def artifacts(self) -> str:
        """The URI for the files of its runs, in a store that does not keep files itself."""
        return (self.path / "artifacts").as_uri()

    @property
    def name(self) -> str:
        """A short name that differs from other people's folders, such as `project 1a2b`."""
        return f"{self.project.name} {self.id[:4]}".strip()


def identify(folder: Path) -> Multirun:
    """Return a folder's identity, for `save_identity`, and find out whether the folder was moved or copied.

    A moved folder keeps its inode.  A folder from another disk or machine counts as a copy: the original may be in use.
    """
    path, project = folder.resolve(), folder.absolute().parent
    known = _read(path / FILE)
    if known is None:
        return Multirun(path, project, uuid.uuid4().hex, new=True)
    stored = Multirun(path, project, known["id"], tuple(known["copied_from"]), known["original"])
    if _is_here(path, known):
        return stored
    if _moved(path, known):
        return replace(stored, notice=f"{path} was {known['place']} before; its runs in MLflow follow it")
    place = known["place"] if known["place"] != str(path) else f"{path} on {known['machine']}"
    return replace(
        stored,
        id=uuid.uuid4().hex,
        copied_from=(*stored.copied_from, stored.id)[-COPIES:],
        original=known["place"],
        notice=f"{path} is a copy of {place}: it gets runs of its own in MLflow",
    )


def save_identity(multirun: Multirun) -> Multirun:
    """Store a new identity and return it; if another command was faster, return the identity that it stored.

    A folder that this user may not write to gets a fixed identity, computed from machine and path.
    """
    path = multirun.path
    path.mkdir(parents=True, exist_ok=True)
    if not (multirun.new or multirun.notice):
        return multirun
    if not os.access(path, os.W_OK):
        return replace(multirun, id=uuid.uuid5(uuid.NAMESPACE_URL, f"{platform.node()}:{path}").hex, new=False)
    here = {"place": str(path), "machine": platform.node(), "inode": path.stat().st_ino}
    origin = {"copied_from": list(multirun.copied_from), "original": multirun.original}
    remove_partial_files(path, shared=True)
    if is_irregular(path / FILE):
        move_aside(path / FILE, path / SUPERSEDED)
    with file_lock(path / FILE):
        known = _read(path / FILE)
        if known is not None and _is_here(path, known):
            return replace(multirun, id=known["id"], copied_from=tuple(known["copied_from"]), new=False)
        write_json(path / FILE, {"id": multirun.id, **here, **origin})
    return replace(multirun, new=False)


def _is_here(path: Path, known: dict[str, Any]) -> bool:
    """Whether a stored identity belongs to the folder at this path, and not to one on another machine."""
    on_this_machine = known["machine"] == platform.node() or known["inode"] == path.stat().st_ino
    return bool(known["place"] == str(path) and on_this_machine)


def _moved(path: Path, known: dict[str, Any]) -> bool:
    """Whether the folder was moved: it has the stored inode, and the folder at the stored path does not."""
    original = Path(known["place"])
    if original == path or path.stat().st_ino != known["inode"]:
        return False
    try:
        return original.stat().st_ino != known["inode"] or original.samefile(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # unknown, for example in another user's folder
        return False


def _read(path: Path) -> dict[str, Any] | None:
    """Return an identity file's content, or None if it is missing or damaged."""
    try:
        known = parse_json(read_stored(path, LARGEST))
    except (OSError, ValueError, NoAccess):
        return None
    if not isinstance(known, dict) or not all(isinstance(known.get(name), kind) for name, kind in KINDS.items()):
        return None
    identities = [known["id"], *known["copied_from"]]
    whole = all(isinstance(each, str) and re.fullmatch("[0-9a-f]{32}", each) for each in identities)
    return {name: known[name] for name in KINDS} if whole else None
