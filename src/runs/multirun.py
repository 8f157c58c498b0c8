"""Which `multirun` folder this is: it has an identity, which it keeps when it is moved and which no copy of it shares.

Several people may deliver to one MLflow store.  The identity tells their runs apart: a command touches only the runs of
its own folder.
"""

import os
import platform
import re
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from src.storage.files import remove_partial_files, write_json
from src.storage.lock import file_lock
from src.storage.stored import NoAccess, is_irregular, parsed, read_stored

FILE = "identity.json"
LARGEST = 100_000  # bytes
COPIES = 100  # earlier identities that a copy of a copy remembers
KINDS = {"id": str, "place": str, "machine": str, "inode": int, "copied_from": list, "original": str}


@dataclass(frozen=True)
class Multirun:
    """A `multirun` folder, and the identities of the folders that it was copied from, the latest last."""

    path: Path  # absolute, links followed
    project: Path  # absolute: the folder in which the user finds it
    id: str  # 32 hexadecimal digits
    copied_from: tuple[str, ...] = ()
    original: str = ""  # the place of the folder that this one is a copy of
    new: bool = False  # no file holds this identity yet
    notice: str = ""  # a move or a copy that was just noticed, for the user

    @property
    def artifacts(self) -> str:
        """The address of the folder for the files of its runs, in a store that has no place of its own for files."""
        return (self.path / "artifacts").as_uri()

    @property
    def name(self) -> str:
        """A short name that tells it from the folders of other people, such as `project 1a2b`."""
        return f"{self.project.name} {self.id[:4]}".strip()


def identify(folder: Path) -> Multirun:
    """Read a folder's identity, and find out whether the folder was moved or copied.

    A folder that was renamed keeps its identity: it is still the same inode.  A copy gets a new one.  A folder that
    came from another disk or machine counts as a copy, since nobody can tell whether the original is still in use.
    """
    path, project = folder.resolve(), folder.absolute().parent
    known = _read(path / FILE)
    if known is None:
        return Multirun(path, project, uuid.uuid4().hex, new=True)
    stored = Multirun(path, project, known["id"], tuple(known["copied_from"]), known["original"])
    if known["place"] == str(path) and _same_folder(path, known):
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
    """Write a folder's identity, where it is not written yet; where another command was faster, its identity counts.

    A folder that only others may write to gets an identity from its machine and place, the same the next time.

    Raises:
        OSError: where the folder cannot be made, or the disk is full.
    """
    path = multirun.path
    path.mkdir(parents=True, exist_ok=True)
    if not (multirun.new or multirun.notice):
        return multirun
    if not os.access(path, os.W_OK):
        return replace(multirun, id=uuid.uuid5(uuid.NAMESPACE_URL, f"{platform.node()}:{path}").hex, new=False)
    content = {
        "id": multirun.id,
        "place": str(path),
        "machine": platform.node(),
        "inode": path.stat().st_ino,
        "copied_from": list(multirun.copied_from),
        "original": multirun.original,
    }
    _clear(path)
    with file_lock(path / FILE):
        known = _read(path / FILE)
        if known is not None and known["place"] == str(path) and _same_folder(path, known):
            return replace(multirun, id=known["id"], copied_from=tuple(known["copied_from"]), new=False)
        write_json(path / FILE, content)
    return replace(multirun, new=False)


def _clear(folder: Path) -> None:
    """Make room for the identity: something else may be in its place, and a killed command may have left a part."""
    remove_partial_files(folder, shared=True)
    file = folder / FILE
    if is_irregular(file):
        there = folder / "superseded" / f"{FILE}-{time.time_ns() // 1_000_000}"
        there.parent.mkdir(exist_ok=True)
        file.rename(there)


def _same_folder(path: Path, known: dict[str, Any]) -> bool:
    """Whether a folder at the known path is the known one, not another machine's copy under the same path."""
    return bool(known["machine"] == platform.node() or known["inode"] == path.stat().st_ino)


def _moved(path: Path, known: dict[str, Any]) -> bool:
    """Whether the folder itself came here from its known place: it is the same inode, and the original is not there."""
    original = Path(known["place"])
    if original == path or path.stat().st_ino != known["inode"]:
        return False
    try:
        return original.stat().st_ino != known["inode"] or original.samefile(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # another user's folder, say: nobody can tell
        return False


def _read(path: Path) -> dict[str, Any] | None:
    """What an identity file holds; None where there is none, or where it is harmed."""
    try:
        known = parsed(read_stored(path, LARGEST))
    except (OSError, ValueError, NoAccess):
        return None
    if not isinstance(known, dict) or not all(isinstance(known.get(name), kind) for name, kind in KINDS.items()):
        return None
    identities = [known["id"], *known["copied_from"]]
    whole = all(isinstance(each, str) and re.fullmatch("[0-9a-f]{32}", each) for each in identities)
    return {name: known[name] for name in KINDS} if whole else None
