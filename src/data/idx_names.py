"""Find the four IDX files of a dataset under the names that publishers use."""

import contextlib
import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from src.bad_input import BadInput
from src.data.refusals import AGAIN, foreign, root_word, unreadable
from src.wording import joined

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
WANTED = f"the four IDX files, {FILES[0]} and so on, packed (.gz) or not"
# Some copies have a dot for the hyphen, or capitals.  EMNIST starts with its split and writes test for t10k.
NAME = re.compile(
    r"(?P<set>emnist-(?:balanced|byclass|bymerge|digits|letters|mnist)-|)"
    r"(?P<split>train|t10k|test)-(?P<kind>images-idx3|labels-idx1|images\.idx3|labels\.idx1)-ubyte(?P<packed>\.gz|)",
    re.IGNORECASE,
)
DEPTH, FOLDERS = 3, 200  # levels and folders that are searched below a folder


def find_set(root: Path, name: str, *, packed: bool = False) -> tuple[tuple[Path, ...], str]:
    """Return a dataset's paths in the order of FILES, and its prefix: `emnist-letters`, or an empty string.

    Searches a folder and torchvision's layout below it.  `name` is torchvision's folder for the dataset, such as
    `MNIST`, or empty for any dataset in MNIST's format.  `packed` ignores files that are not packed.
    """
    try:
        _check_folder(root)
        for place in (root, root / name / "raw", root / "raw"):
            sets = _whole_sets(place, name, packed=packed)
            first = min(sets, default="")
            if len(sets) == 1 or "" in sets:
                return sets[first], first
            if sets:
                raise BadInput(
                    f"data.root={place} holds {len(sets)} sets: {', '.join(sorted(sets))}",
                    f"one set in a folder, such as {root_word(place / first)} after this",
                    f"cd {shlex.quote(str(place))} && mkdir {first} && mv {first}-* {first}",
                )
        raise _missing(root, name, packed=packed)
    except OSError as error:
        raise unreadable(root, error, f"data.root={root}") from error


def folder_with_set(root: Path, name: str) -> Path | None:
    """Return a folder below or just above `root` that holds all four files, or None."""
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
    near = folder_with_set(Path(os.path.realpath(root)), "")  # if root is a file, its folder
    raise BadInput(f"data.root={root} is {_kind(root)}", wanted, root_word(near) if near else "data.root=FOLDER")


def _whole_sets(place: Path, name: str, *, packed: bool = False) -> dict[str, tuple[Path, ...]]:
    """Return the paths of the complete datasets in a folder by prefix: `emnist-letters`, or an empty string."""
    paths = _files(place, packed=packed)
    prefixes = [""] if name else sorted({prefix for prefix, _ in paths})  # published datasets have MNIST's names
    whole = (prefix for prefix in prefixes if all((prefix, file) in paths for file in FILES))
    return {prefix: tuple(paths[prefix, file][0] for file in FILES) for prefix in whole}


def _files(place: Path, *, packed: bool = False) -> dict[tuple[str, str], list[Path]]:
    """Return the IDX files in a folder by prefix and name among FILES, the preferred file first."""
    usual = [name + ending for name in FILES for ending in ("", ".gz")]
    listed: list[str] = []
    with contextlib.suppress(PermissionError, FileNotFoundError, NotADirectoryError):  # its files may still be readable
        listed = sorted(os.listdir(place))  # noqa: PTH208  # only names are needed
    paths: dict[tuple[str, str], list[Path]] = {}
    for name in dict.fromkeys([*usual, *sorted(listed, key=lambda name: (name.lower().endswith(".gz"), name))]):
        match = NAME.fullmatch(name)
        if match and (match["packed"] or not packed) and (place / name).is_file():
            split = "train" if match["split"].lower() == "train" else "t10k"
            file = f"{split}-{match['kind'].lower().replace('.', '-')}-ubyte"
            paths.setdefault((match["set"].lower().rstrip("-"), file), []).append(place / name)
    return paths


def _missing(root: Path, name: str, *, packed: bool) -> BadInput:
    """Return the refusal of a folder without a whole dataset; it names the missing files or the folder's content."""
    for path in (root / (file + ending) for file in FILES for ending in ("", ".gz")):
        if os.path.lexists(path) and not path.is_file():
            return BadInput(f"{path} is {_kind(path)}", WANTED, AGAIN)
    present = _files(root)
    lacking = [file for file in FILES if file not in {name for _, name in present}]
    if present and lacking:
        beside = ", ".join(path.name for paths in present.values() for path in paths)
        missing = f"{joined(lacking, 4)} {'is' if len(lacking) == 1 else 'are'} missing"
        return BadInput(f"data.root={root}: {missing} beside {beside}", WANTED)
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
    content = f"data.root={root} {f'holds other files: {joined(names, 4)}' if names else 'is empty'}"
    return BadInput(f"{content}; {FILES[0]} is missing", WANTED + (" (packed ones for this set)" if packed else ""))


def _folders_below(root: Path) -> Iterator[Path]:
    """Return folders below a folder, the nearest first, without those that may not be listed."""
    level, left = [root], FOLDERS
    for _ in range(DEPTH):
        following: list[Path] = []
        for folder in level:
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                following += sorted(Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False))
        level = following[:left]
        left -= len(level)
        yield from level


def _kind(path: Path) -> str:
    """Return the kind of a path, such as `a pipe`."""
    if path.is_symlink() and not path.exists():
        return f"a link to {path.readlink()}, which does not exist"
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(path.stat().st_mode), "a device")
