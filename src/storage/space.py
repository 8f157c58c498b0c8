"""Whether a sweep's output folder can take what the sweep will leave, checked before anything is made."""

import fcntl
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from src.bad_input import BadInput
from src.storage.lock import flock

# Bytes that a job takes: the default network on MNIST leaves 0.64 MB in its folder and 0.76 MB in MLflow's
# copy of it (most of both are the predictions for 10,000 test images), and has had 0.4 MB of checkpoints meanwhile.
JOB = 2_000_000
# Bytes besides: MLflow's new database, 1 MB, and as much again while its tables are made; the sweep's report, figures
# and galleries, 4 MB, and MLflow's copy of them.
SWEEP = 10_000_000
ELSEWHERE = "a current folder to write in"
WRITTEN = ("jobs", "sweeps")  # the folders that every sweep writes to; each may be a link to another disk
MADE = (*WRITTEN, "artifacts", "superseded")


def check_space(folder: Path, jobs: int, inside: Iterable[Path] = ()) -> None:
    """Refuse an output folder that cannot be written to, or a disk without file locks or room for the jobs.

    A file without a name is really written and locked, where the folders are or will be made: permission, a read-only
    disk, a quota and missing locks show nowhere else, least of all to the administrator.  Nothing of it remains.

    Args:
        folder: where the jobs' folders go; it need not exist.
        jobs: how many are to be trained.
        inside: the folders of the jobs and of the sweep; nothing else may stand in their places.

    Raises:
        BadInput: naming the folder, and what is missing.
    """
    places = {name: nearest_folder(folder / name) for name in MADE}
    for place in dict.fromkeys(places[name] for name in WRITTEN):
        _try_writing(place)
    for place in inside:
        nearest_folder(place)
    place = places["jobs"]
    free = free_bytes(place)
    if jobs and free is not None and free < (needed := SWEEP + jobs * JOB):
        raise BadInput(
            f"{megabytes(free)} are free in {place}; {jobs:,} jobs leave about {megabytes(needed)}",
            f"{ELSEWHERE}, with more room",
            "fewer values, or the same command again once there is room: finished jobs are kept",
        )


def _try_writing(place: Path) -> None:
    """Write and lock a file in a folder, and leave nothing there."""
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(bytes(4096))
            probe.flush()
            flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB, place)
    except OSError as error:
        raise BadInput(f"nothing can be written to {place}: {error.strerror}", ELSEWHERE) from error


def free_bytes(place: Path) -> int | None:
    """How many bytes a folder's disk has room for; None where its file system does not say (some FUSE: 0 of 0)."""
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return None
    return usage.free if usage.total else None


def nearest_folder(path: Path) -> Path:
    """The path itself as an absolute one, or the nearest folder above it that exists.

    Raises:
        BadInput: where a file, or a link to a place that does not exist, is in the way.
    """
    try:
        path = path.absolute()
    except FileNotFoundError as error:
        raise BadInput("the current folder was deleted", "a folder that exists", "cd FOLDER") from error
    try:
        found = next(place for place in (path, *path.parents) if os.path.lexists(place))
        if found.is_dir():
            return found
        link = found.is_symlink() and not found.exists()
    except OSError as error:
        raise BadInput(f"{path} cannot be reached: {error.strerror}", ELSEWHERE) from error
    if link:
        target = str(found.parent / found.readlink())
        raise BadInput(
            f"{found} is in the way: it is a link to {target}, which does not exist",
            "a link to a folder that exists",
            f"mkdir -p {shlex.quote(target)}",
        )
    raise BadInput(f"{found} is in the way: it is no folder", ELSEWHERE, f"mv {_quoted(found)} {_quoted(found)}.file")


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def megabytes(size: int) -> str:
    """Bytes in words."""
    return f"{size / 1e6:,.0f} MB"
