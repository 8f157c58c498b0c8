"""The four files of a set in MNIST's format, by the names that publishers give them."""

import contextlib
import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from src.bad_input import BadInput
from src.data.recognised import AGAIN, foreign
from src.data.refusals import root_word, unreadable

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
WANTED = f"the four IDX files, {FILES[0]} and so on, packed (.gz) or not"
EMNIST = "emnist-"
# Some copies write a dot for a hyphen, or capitals; EMNIST names its split first, and calls the test images so.
NAME = re.compile(
    r"(?P<set>emnist-(?:balanced|byclass|bymerge|digits|letters|mnist)-|)"
    r"(?P<split>train|t10k|test)-(?P<kind>images-idx3|labels-idx1|images\.idx3|labels\.idx1)-ubyte(?P<packed>\.gz|)",
    re.IGNORECASE,
)
DEPTH, FOLDERS = 3, 200  # how far below a folder, and in how many, a set is looked for


class IdxSet(NamedTuple):
    """Where a set's files are, in the order of FILES, and how EMNIST calls it; empty for another set."""

    paths: tuple[Path, ...]
    emnist: str


def find_set(root: Path, name: str, *, packed: bool = False) -> IdxSet:
    """The set in a folder, or in torchvision's layout below it.

    Args:
        root: the folder that the user named.
        name: the folder that torchvision makes for this dataset, such as `MNIST`; empty for any set in MNIST's format.
        packed: whether only packed files will do.

    Raises:
        BadInput: saying what is there instead.
    """
    try:
        _check_folder(root)
        for place in (root, root / name / "raw", root / "raw"):
            sets = _whole_sets(place, name, packed=packed)
            if len(sets) > 1 and "" not in sets:
                raise _several(place, sorted(sets))
            if sets:
                emnist = next(iter(sets)) if "" not in sets else ""
                return IdxSet(sets[emnist], emnist)
        raise _missing(root, name, packed=packed)
    except OSError as error:
        raise unreadable(root, error, f"data.root={root}") from error


def folder_with_set(root: Path, name: str) -> Path | None:
    """A folder near another one that holds a whole set: below it, or the one above it."""
    for place in [*_folders_below(root), root.absolute().parent]:
        with contextlib.suppress(OSError):
            if _whole_sets(place, name):
                return place
    return None


def _check_folder(root: Path) -> None:
    if root.is_dir():
        return
    wanted = f"a folder with {WANTED}"
    if not os.path.lexists(root):
        raise BadInput(f"data.root={root}: no such folder", wanted, "data.root=FOLDER, or leave it out")
    near = folder_with_set(Path(os.path.realpath(root)), "")  # the folder of a file that was named in its place
    raise BadInput(f"data.root={root} is {_kind(root)}", wanted, root_word(near) if near else "data.root=FOLDER")


def _whole_sets(place: Path, name: str, *, packed: bool = False) -> dict[str, tuple[Path, ...]]:
    """The sets that a folder holds all four files of, by what precedes their names: `emnist-letters`, or nothing."""
    found = _files(place)
    sets = {}
    for key in sorted({key for key, _ in found}):
        files = [[path for path in found.get((key, file), ()) if not packed or _is_packed(path)] for file in FILES]
        if all(files) and not (name and key):  # a published set has MNIST's own names
            sets[key] = tuple(paths[0] for paths in files)
    return sets


def _files(place: Path) -> dict[tuple[str, str], list[Path]]:
    """The IDX files in a folder by their set and their name among FILES, the one that is preferred first."""
    usual = [name + ending for name in FILES for ending in ("", ".gz")]
    listed: list[str] = []
    with contextlib.suppress(PermissionError, FileNotFoundError, NotADirectoryError):  # files may be read all the same
        listed = sorted(os.listdir(place))  # noqa: PTH208  # names alone are wanted
    found: dict[tuple[str, str], list[Path]] = {}
    for name in dict.fromkeys([*usual, *sorted(listed, key=lambda name: (_is_packed(Path(name)), name))]):
        match = NAME.fullmatch(name)
        if match and (place / name).is_file():
            split = "train" if match["split"].lower() == "train" else "t10k"
            file = f"{split}-{match['kind'].lower().replace('.', '-')}-ubyte"
            found.setdefault((match["set"].lower().rstrip("-"), file), []).append(place / name)
    return found


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _several(place: Path, sets: list[str]) -> BadInput:
    one = sets[0]
    return BadInput(
        f"data.root={place} holds {len(sets)} sets: {', '.join(sets)}",
        f"one set in a folder, such as {root_word(place / one)} after this",
        f"cd {shlex.quote(str(place))} && mkdir {one} && mv {one}-* {one}",
    )


def _missing(root: Path, name: str, *, packed: bool) -> BadInput:
    """The refusal of a folder without a whole set: what it lacks, or what it holds instead."""
    found = _files(root)
    for file in FILES:
        for ending in ("", ".gz"):
            path = root / (file + ending)
            if os.path.lexists(path) and not path.is_file():
                return BadInput(f"{path} is {_kind(path)}", WANTED, AGAIN)
    lacking = [file for file in FILES if not any(found_file == file for _, found_file in found)]
    if found and lacking:
        there = ", ".join(path.name for paths in found.values() for path in paths)
        missing = f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing"
        return BadInput(f"data.root={root}: {missing} beside {there}", WANTED)
    near = folder_with_set(root, name)
    if near is not None:
        return BadInput(f"data.root={root} holds no set, but {near} does", WANTED, root_word(near))
    try:
        names = sorted(os.listdir(root))  # noqa: PTH208  # as above
    except PermissionError as error:
        return unreadable(root, error, f"data.root={root}")
    below = [str(path.relative_to(root)) for place in _folders_below(root) for path in sorted(place.iterdir())[:20]]
    known = foreign(root, [*names, *below])
    if known is not None:
        return BadInput(f"data.root={root} holds no IDX files: {known[0]}", WANTED, known[1])
    there = f"{', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
    what = f"data.root={root} {f'holds other files: {there}' if names else 'is empty'}"
    return BadInput(f"{what}; {FILES[0]} is missing", WANTED + (" (packed ones for this set)" if packed else ""))


def _folders_below(root: Path) -> Iterator[Path]:
    """Some folders below another one, the nearest first; one that may not be listed is passed over."""
    level = [root]
    left = FOLDERS
    for _ in range(DEPTH):
        following: list[Path] = []
        for folder in level:
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                following += sorted(Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False))
        level = following[:left]
        left -= len(level)
        yield from level


def _kind(path: Path) -> str:
    """Say in words what a path is that is no data file, such as `a pipe`."""
    if path.is_symlink() and not path.exists():
        return f"a link to {path.readlink()}, which does not exist"
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(path.stat().st_mode), "a device")
