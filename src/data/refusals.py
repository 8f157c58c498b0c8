"""What refusals of a data file or folder have in common: the owner, and `data.root` as it is typed."""

import re
from pathlib import Path

from src.bad_input import BadInput, as_one_word


def unreadable(path: Path, error: OSError, name: str = "") -> BadInput:
    """A refusal that names the file, or calls it by its `name`, with the reason and, without permission, the owner."""
    what = f"{name or path} cannot be read: {error.strerror or error}"
    return BadInput(what + (_owner(path) if isinstance(error, PermissionError) else ""), "a file that you may read")


def _owner(path: Path) -> str:
    """Who owns a path, in brackets; the nearest folder above it where the path itself may not be looked at."""
    for place in (path, *path.absolute().parents):
        try:
            found = place.stat()
        except OSError:
            continue
        try:
            name = place.owner()
        except KeyError:  # a number without a name, as on a disk of another machine
            name = f"user {found.st_uid}"
        return f" ({'it' if place == path else place} belongs to {name}, mode {found.st_mode & 0o777:03o})"
    return ""


def root_word(root: Path) -> str:
    """`data.root=FOLDER` as it is typed: in quotes where Hydra or the shell would read the folder's name otherwise."""
    plain = re.fullmatch(r"[A-Za-z0-9_.+/-]*/[A-Za-z0-9_.+/-]*", str(root))
    return f"data.root={root}" if plain else as_one_word("data.root", str(root))
