"""Find the four IDX files of a dataset by the names that publishers give them."""

import contextlib
import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from src.bad_input import BadInput
from src.data.refusals import COPY_AGAIN, foreign_format, root_argument, unreadable_refusal
from src.wording import joined

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
FOUR_FILES = f"the four IDX files, {FILES[0]} and so on, packed (.gz) or not"
# An IDX file's name in any case: optional EMNIST prefix, split, kind (`images-idx3` or `images.idx3`), optional .gz.
FILE_NAME = re.compile(
    r"(?P<dataset>emnist-(?:balanced|byclass|bymerge|digits|letters|mnist)-|)"
    r"(?P<split>train|t10k|test)-(?P<kind>images-idx3|labels-idx1|images\.idx3|labels\.idx1)-ubyte(?P<packed>\.gz|)",
    re.IGNORECASE,
)
MOST_LEVELS, MOST_FOLDERS = 3, 200  # the search for a dataset below a folder stops at these limits


def find_dataset_files(
    root: Path, name: str, prefix: str = "", *, packed: bool = False
) -> tuple[tuple[Path, ...], str]:
    """Return the paths of a dataset's files in the order of FILES, and their prefix: `emnist-letters`, or empty.

    The search covers the folder `root` and torchvision's layout inside it.  `name` is torchvision's folder for the
    dataset, such as `MNIST`, whose files start with `prefix`; an empty name accepts any dataset.  With `packed`, only
    .gz files count.
    """
    try:
        _check_folder(root)
        for folder in (root, root / name / "raw", root / "raw"):
            datasets = _complete_datasets(folder, name, prefix, packed=packed)
            first = min(datasets, default="")
            if len(datasets) == 1 or "" in datasets:
                return datasets[first], first
            if datasets:
                raise BadInput(
                    f"data.root={folder} contains {len(datasets)} datasets: {', '.join(sorted(datasets))}",
                    f"one dataset per folder, such as {root_argument(folder / first)} after the command below",
                    f"cd {shlex.quote(str(folder))} && mkdir {first} && mv {first}-* {first}",
                )
        raise _missing_refusal(root, name, packed=packed)
    except OSError as error:
        raise unreadable_refusal(root, error, f"data.root={root}") from error


def find_nearby_folder(root: Path, name: str, prefix: str = "") -> Path | None:
    """Search below `root`, then in its parent folder, and return the first folder with all four files, or None."""
    for folder in [*_folders_below(root), root.absolute().parent]:
        with contextlib.suppress(OSError):
            if _complete_datasets(folder, name, prefix):
                return folder
    return None


def _check_folder(root: Path) -> None:
    if root.is_dir():
        return
    wanted = f"a folder with {FOUR_FILES}"
    if not os.path.lexists(root):
        raise BadInput(f"data.root={root}: no such folder", wanted, advice="data.root=FOLDER, or no data.root")
    nearby = find_nearby_folder(Path(os.path.realpath(root)), "")  # the file's folder, if `root` is a file
    advice = root_argument(nearby) if nearby else "data.root=FOLDER"
    raise BadInput(f"data.root={root} is {_kind_of_path(root)}", wanted, advice)


def _complete_datasets(
    folder: Path, name: str, prefix: str = "", *, packed: bool = False
) -> dict[str, tuple[Path, ...]]:
    """Return the four paths of each complete dataset in a folder, by prefix (`emnist-letters`, or an empty string)."""
    paths = _idx_files(folder, packed=packed)
    prefixes = [prefix] if name else sorted({found for found, _ in paths})
    complete = (found for found in prefixes if all((found, file) in paths for file in FILES))
    return {found: tuple(paths[found, file][0] for file in FILES) for found in complete}


def _idx_files(folder: Path, *, packed: bool = False) -> dict[tuple[str, str], list[Path]]:
    """Return the paths of each IDX file in a folder, by prefix and by name in FILES; the preferred path comes first."""
    usual_names = [name + ending for name in FILES for ending in ("", ".gz")]
    listed_names: list[str] = []
    # Without permission to list a folder, a user may still read the files in it that have the usual names.
    with contextlib.suppress(PermissionError, FileNotFoundError, NotADirectoryError):
        listed_names = sorted(os.listdir(folder))  # noqa: PTH208  # iterdir is slower: it builds a path per name
    paths: dict[tuple[str, str], list[Path]] = {}
    listed_names.sort(key=lambda name: name.lower().endswith(".gz"))  # prefer a plain file to a packed one
    for name in dict.fromkeys([*usual_names, *listed_names]):
        match = FILE_NAME.fullmatch(name)
        if match and (match["packed"] or not packed) and (folder / name).is_file():
            split = "train" if match["split"].lower() == "train" else "t10k"
            file = f"{split}-{match['kind'].lower().replace('.', '-')}-ubyte"
            paths.setdefault((match["dataset"].lower().rstrip("-"), file), []).append(folder / name)
    return paths


def _missing_refusal(root: Path, name: str, *, packed: bool) -> BadInput:
    """Return the error for a folder without a complete dataset; it lists the missing files or the folder's content."""
    for path in (root / (file + ending) for file in FILES for ending in ("", ".gz")):
        if os.path.lexists(path) and not path.is_file():
            return BadInput(f"{path} is {_kind_of_path(path)}", FOUR_FILES, advice=COPY_AGAIN)
    idx_files = _idx_files(root)
    missing_files = [file for file in FILES if file not in {name for _, name in idx_files}]
    if idx_files and missing_files:
        present_files = ", ".join(path.name for paths in idx_files.values() for path in paths)
        missing_text = f"{joined(missing_files, 4)} {'is' if len(missing_files) == 1 else 'are'} missing"
        return BadInput(f"data.root={root}: {missing_text}; the folder contains {present_files}", FOUR_FILES)
    nearby = find_nearby_folder(root, name)
    if nearby is not None:
        return BadInput(f"data.root={root} contains no dataset, but {nearby} does", FOUR_FILES, root_argument(nearby))
    try:
        entries = sorted(os.listdir(root))  # noqa: PTH208  # iterdir is slower: it builds a path per name
    except PermissionError as error:
        return unreadable_refusal(root, error, f"data.root={root}")
    paths = [path for folder in _folders_below(root) for path in sorted(folder.iterdir())[:20]]
    file_format = foreign_format(root, [*entries, *(str(path.relative_to(root)) for path in paths)])
    if file_format is not None:
        return BadInput(f"data.root={root} contains no IDX files: {file_format[0]}", FOUR_FILES, advice=file_format[1])
    content = f"data.root={root} {f'contains other files: {joined(entries, 4)}' if entries else 'is empty'}"
    return BadInput(f"{content}; {FILES[0]} is missing", FOUR_FILES + (" (packed for this dataset)" if packed else ""))


def _folders_below(root: Path) -> Iterator[Path]:
    """Yield the folders below a folder level by level, within the limits MOST_LEVELS and MOST_FOLDERS."""
    level, folders_left = [root], MOST_FOLDERS
    for _ in range(MOST_LEVELS):
        next_level: list[Path] = []
        for folder in level:
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                next_level += sorted(Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False))
        level = next_level[:folders_left]
        folders_left -= len(level)
        yield from level


def _kind_of_path(path: Path) -> str:
    """Return in words whether a path is a file, a folder, a pipe, a socket, a device or a broken link."""
    if path.is_symlink() and not path.exists():
        return f"a link to {path.readlink()}, which does not exist"
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(path.stat().st_mode), "a device")
