"""List the image files of a dataset in the layout of torchvision's ImageFolder: `train/CLASS/*` and `test/CLASS/*`."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from src.bad_input import BadInput
from src.data.refusals import COPY_AGAIN, foreign_format, root_argument
from src.wording import counted, joined

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".pgm", ".ppm", ".pnm", ".tif", ".tiff", ".webp")
# Files that are refused, because to ignore images would be a surprise.  Other files, such as notes, are ignored.
OTHER_ENDINGS = (".avif", ".heic", ".heif", ".jp2", ".jxl", ".svg", ".dcm", ".npy", ".mp4", ".zip", ".tar", ".gz")
VALIDATION_NAMES = ("val", "validation", "valid")
LAYOUT = "a folder with train/CLASS/ and test/CLASS/ that contain image files, and optionally val/CLASS/"
MOST_CLASSES = 1000


@dataclass(frozen=True)
class Listing:
    """The image files of a dataset, without their content."""

    classes: tuple[str, ...]
    files: dict[str, list[tuple[str, int]]]  # paths and labels of `train`, `test` and perhaps `validation`
    fingerprint: str  # a hash of the paths, sizes and times of all files

    @property
    def count(self) -> int:
        """The number of files."""
        return sum(map(len, self.files.values()))


def is_image_folder(root: Path) -> bool:
    """Whether a folder contains the folders `train` and `test`."""
    return (root / "train").is_dir() and (root / "test").is_dir()


def list_files(root: Path) -> Listing:
    """Return a folder's image files; raises BadInput for another layout, and for classes without test images.

    The test and validation images are in ImageFolder's order, sorted by class and path.
    """
    folders = _split_folders(root)
    classes = _class_names(folders["train"])
    hashed, files = hashlib.sha256(repr(classes).encode()), dict[str, list[tuple[str, int]]]()
    start = len(os.path.join(root, ""))  # noqa: PTH118  # a path has no final slash
    for split, folder in folders.items():
        files[split], ranks = [], list[int]()
        for name in _class_names(folder):
            if name not in classes:
                raise BadInput(f"{folder / name}: {folders['train']} has no such class", joined(classes, 10))
            paths = _files_below(folder / name)
            if not paths and split == "train":
                raise BadInput(
                    f"{folder / name} contains no images", f"files that end with {joined(ENDINGS, 20, 'or')}"
                )
            label = classes.index(name)
            ranks += range(len(paths))
            files[split] += [(path, label) for path, _ in paths]
            for path, status in paths:
                stamp = (path[start:], status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                hashed.update(repr(stamp).encode(errors="surrogateescape"))
        if not files[split]:
            raise BadInput(f"{folder} contains no images", LAYOUT)
        if split == "train":  # the classes take turns, so `data.limit` keeps images of all classes
            files[split] = [files[split][index] for index in sorted(range(len(ranks)), key=ranks.__getitem__)]
    tested = {label for _, label in files["test"]}
    if untested := [name for label, name in enumerate(classes) if label not in tested]:
        problem = f"{folders['test']} contains no images of {joined(untested, 4)}"
        advice = "move some of their images to test/CLASS, or remove these folders from train"
        raise BadInput(problem, "test images of every class", advice=advice)
    return Listing(classes, files, hashed.hexdigest())


def _split_folders(root: Path) -> dict[str, Path]:
    """Return the folders of the splits; raises BadInput if the training or the test images are missing."""
    if not root.is_dir():
        packed = foreign_format(root.absolute().parent, [root.name]) if root.is_file() else None
        problem = f"data.root={root} {'is not a folder' if os.path.lexists(root) else 'does not exist'}"
        raise BadInput(problem, LAYOUT, advice=packed[1] if packed else "data.root=FOLDER")
    validation = [name for name in VALIDATION_NAMES if (root / name).is_dir()]
    if len(validation) > 1:
        raise BadInput(f"data.root={root} contains {joined(validation)}", "one folder of validation images")
    missing = [name for name in ("train", "test") if not (root / name).is_dir()]
    if not missing:
        folders = {"train": root / "train", "test": root / "test"}
        return folders | ({"validation": root / validation[0]} if validation else {})
    names = sorted(entry.name for entry in os.scandir(root) if not entry.name.startswith("."))
    other_format = foreign_format(root, names)
    problem = f"data.root={root} contains no folder {' and no folder '.join(missing)}"
    advice = "move some of each class's images to test/CLASS" if missing == ["test"] else ""
    if missing == ["train", "test"]:
        candidates = [root.absolute().parent, *(root / name for name in names)]
        nearby = next((folder for folder in candidates if is_image_folder(folder)), None)
        advice = root_argument(nearby) if nearby else "move the images to train/CLASS and test/CLASS"
        if other_format and not nearby:
            problem, advice = f"{problem}: {other_format[0]}", other_format[1]
    raise BadInput(f"{problem}; it contains {joined(names, 4) or 'nothing'}", LAYOUT, advice=advice)


def _class_names(folder: Path) -> tuple[str, ...]:
    """Return the sorted names of the classes in a split's folder; raises BadInput for names that cannot be classes."""
    with os.scandir(folder) as found:
        entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    names = tuple(entry.name for entry in entries if entry.is_dir())
    loose = [entry.name for entry in entries if entry.name.lower().endswith(ENDINGS) and not entry.is_dir()]
    if loose:
        problem = f"{folder} contains {joined(loose, 2)} outside the folders of the classes"
        raise BadInput(problem, LAYOUT, advice="move them to a folder with the name of their class")
    unreadable = [name for name in names if not name.isprintable()]  # control characters, or not UTF-8
    if unreadable:
        raise BadInput(
            f"{folder} contains a folder with the name {unreadable[0]!a}",
            "names without control characters, in UTF-8, because reports show them",
            advice="rename the folder",
        )
    if folder.name == "train" and not 2 <= len(names) <= MOST_CLASSES:
        raise BadInput(
            f"{folder} contains {counted(len(names), 'class folder')}: {joined(names)}",
            f"2 to {MOST_CLASSES:,} classes",
        )
    return names


def _files_below(folder: Path | str) -> list[tuple[str, os.stat_result]]:
    """Return the sorted image files in a class's folder and its subfolders; raises BadInput for unusable files.

    A cached folder of 60,000 images must open at once, so this creates no `Path` objects and asks for each status once.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.lower()
            if name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                found += _files_below(entry.path)
            elif name.endswith(ENDINGS):
                status = entry.stat()
                if not stat.S_ISREG(status.st_mode):
                    raise BadInput(f"{entry.path} is not a regular file", "image files")
                if status.st_size == 0:
                    raise BadInput(f"{entry.path} is empty", "an intact image", advice=COPY_AGAIN)
                found.append((entry.path, status))
            elif name.endswith(OTHER_ENDINGS):
                raise BadInput(f"{entry.path}: normlab does not read such files", joined(ENDINGS, 20, "or"))
    return sorted(found)
