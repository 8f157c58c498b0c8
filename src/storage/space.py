"""Checks before a sweep that its output folder is writable and that its disk has enough free space."""

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

# Bytes per job: a job of the default network on MNIST writes 0.64 MB to its folder, mostly predictions for 10,000 test
# images.  MLflow stores another 0.76 MB, and checkpoints need 0.4 MB while the job trains.
BYTES_PER_JOB = 2_000_000
# Bytes per sweep: MLflow's database needs 1 MB, and 2 MB while MLflow creates its tables.  The report, figures and
# galleries need 4 MB, and MLflow's copy of them another 4 MB.
BYTES_PER_SWEEP = 10_000_000
WRITABLE_FOLDER = "a current folder that you may write to"
WRITTEN_FOLDERS = ("jobs", "sweeps")  # every sweep writes to these folders; each may be a link to another disk
FOLDERS = (*WRITTEN_FOLDERS, "artifacts", "superseded")


def check_space(folder: Path, jobs: int, required_folders: Iterable[Path] = ()) -> None:
    """Raise BadInput if an output folder is not writable, has no file locks, or has no room for the jobs.

    Writes and locks a temporary file, because the permissions alone do not reveal read-only disks, quotas and missing
    locks.  `jobs` is the number of jobs left to train.  Each path in `required_folders` must be a folder or not exist.
    """
    nearest_folders = {name: nearest_folder(folder / name) for name in FOLDERS}
    for path in dict.fromkeys(nearest_folders[name] for name in WRITTEN_FOLDERS):
        try:
            with tempfile.TemporaryFile(dir=path) as probe:
                probe.write(bytes(4096))
                probe.flush()
                flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
        except OSError as error:
            raise BadInput(f"{path} is not writable: {error.strerror}", WRITABLE_FOLDER) from error
    for path in required_folders:
        nearest_folder(path)
    jobs_folder = nearest_folders["jobs"]
    free = free_bytes(jobs_folder)
    if jobs and free is not None and free < (needed := BYTES_PER_SWEEP + jobs * BYTES_PER_JOB):
        raise BadInput(
            f"{jobs_folder} has {megabytes(free)} free, but {counted(jobs, 'job')} may need {megabytes(needed)}",
            "a current folder on a disk with more free space",
            advice="sweep fewer values, or free space and repeat the command; it skips finished jobs",
        )


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes on a folder's disk, or None if they are unknown; some FUSE disks report a size of 0."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return usage.free if usage.total else None


def nearest_folder(path: Path) -> Path:
    """Return the path of a folder, or of the nearest existing folder above it; raises BadInput if a file blocks it."""
    try:
        path = path.absolute()
    except FileNotFoundError as error:
        raise BadInput("the current folder was deleted", "a folder that exists", "cd FOLDER") from error
    try:
        nearest = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
        if nearest.is_dir():
            return nearest
        target = str(nearest.parent / nearest.readlink()) if nearest.is_symlink() and not nearest.exists() else ""
    except OSError as error:
        raise BadInput(f"{path} cannot be reached: {error.strerror}", WRITABLE_FOLDER) from error
    if target:
        problem = f"{nearest} is in the way: it is a link to {target}, which does not exist"
        raise BadInput(problem, "a link to a folder that exists", f"mkdir -p {shlex.quote(target)}")
    move = f"mv {shlex.quote(str(nearest))} {shlex.quote(f'{nearest}.file')}"
    raise BadInput(f"{nearest} is in the way: it is not a folder", WRITABLE_FOLDER, move)


def megabytes(size: int) -> str:
    """Return a number of bytes as text, such as `12 MB`."""
    return f"{size / 1e6:,.0f} MB"
