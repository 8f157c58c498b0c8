"""Check before a sweep that its output folder is writable and large enough."""

import fcntl
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from src.bad_input import BadInput
from src.storage.lock import flock
from src.wording import counted

# Bytes per job: the default network on MNIST leaves 0.64 MB in its folder and 0.76 MB in MLflow's copy, mostly
# predictions for 10,000 test images, and needs 0.4 MB for checkpoints while it trains.
JOB = 2_000_000
# Bytes per sweep: MLflow's database (1 MB, and as much again while its tables are created); the report, figures and
# galleries (4 MB), and MLflow's copy of them.
SWEEP = 10_000_000
ELSEWHERE = "a current folder that you may write to"
WRITTEN = ("jobs", "sweeps")  # every sweep writes to these folders; each may be a link to another disk
FOLDERS = (*WRITTEN, "artifacts", "superseded")


def check_space(folder: Path, jobs: int, inside: Iterable[Path] = ()) -> None:
    """Refuse an output folder that is not writable, has no file locks, or has no room for the jobs.

    Writes and locks a temporary file, which reveals permissions, read-only disks, quotas and missing locks to every
    user, root included.  `jobs` is the number of jobs left to train.  The paths `inside` must be folders or free.
    """
    places = {name: nearest_folder(folder / name) for name in FOLDERS}
    for place in dict.fromkeys(places[name] for name in WRITTEN):
        try:
            with tempfile.TemporaryFile(dir=place) as probe:
                probe.write(bytes(4096))
                probe.flush()
                flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB, place)
        except OSError as error:
            raise BadInput(f"{place} is not writable: {error.strerror}", ELSEWHERE) from error
    for place in inside:
        nearest_folder(place)
    place = places["jobs"]
    free = free_bytes(place)
    if jobs and free is not None and free < (needed := SWEEP + jobs * JOB):
        raise BadInput(
            f"{place} has {megabytes(free)} free, not the {megabytes(needed)} that {counted(jobs, 'job')} may need",
            "a current folder on a disk with more room",
            "fewer values, or the same command once there is room: it skips finished jobs",
        )


def free_bytes(place: Path) -> int | None:
    """Return the free bytes on a folder's disk, or None if its file system does not say (some FUSE: 0 of 0)."""
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return None
    return usage.free if usage.total else None


def nearest_folder(path: Path) -> Path:
    """Return the absolute path, or the nearest existing folder above it; raises BadInput if a file is in the way."""
    try:
        path = path.absolute()
    except FileNotFoundError as error:
        raise BadInput("the current folder was deleted", "a folder that exists", "cd FOLDER") from error
    try:
        nearest = next(place for place in (path, *path.parents) if os.path.lexists(place))
        if nearest.is_dir():
            return nearest
        target = str(nearest.parent / nearest.readlink()) if nearest.is_symlink() and not nearest.exists() else ""
    except OSError as error:
        raise BadInput(f"{path} cannot be reached: {error.strerror}", ELSEWHERE) from error
    if target:
        raise BadInput(
            f"{nearest} is in the way: it is a link to {target}, which does not exist",
            "a link to a folder that exists",
            f"mkdir -p {shlex.quote(target)}",
        )
    move = f"mv {shlex.quote(str(nearest))} {shlex.quote(f'{nearest}.file')}"
    raise BadInput(f"{nearest} is in the way: it is not a folder", ELSEWHERE, move)


def megabytes(size: int) -> str:
    """Return a number of bytes as text, such as `12 MB`."""
    return f"{size / 1e6:,.0f} MB"
