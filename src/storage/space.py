"""Checks before a sweep that its output folder is writable and that its disk has enough free space."""

import fcntl
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from src.bad_input import BadInput
from src.storage.lock import flock
from src.wording import counted

# Bytes per job apart from its predictions and weights.  For colour images of 10 classes, the pictures take 0.4 MB in
# the job's folder and 0.7 MB in MLflow's copy.
BYTES_PER_JOB = 1_000_000
# Bytes per sweep: MLflow's database needs 1 MB, and 2 MB while MLflow creates its tables.  The report, figures and
# galleries need 4 MB, and MLflow's copy of them another 4 MB.
BYTES_PER_SWEEP = 10_000_000
WRITABLE_FOLDER = "a current folder that you may write to"
WRITTEN_FOLDERS = ("jobs", "sweeps")  # every sweep writes to these folders; each may be a link to another disk
FOLDERS = (*WRITTEN_FOLDERS, "artifacts", "superseded")


def job_bytes(test_images: int, classes: int, parameters: int = 0) -> int:
    """Return the bytes that a finished job needs on the disk, with MLflow's copy of its files.

    The predictions take up to 4 bytes per test image and class, and 4 bytes per image; each weight takes 4 bytes.
    """
    return BYTES_PER_JOB + 2 * (test_images * (4 * classes + 4) + 4 * parameters)


def checkpoint_bytes(parameters: int) -> int:
    """Return the bytes of a job's two checkpoints while it trains: the weights and two moments of the optimizer."""
    return 2 * 3 * 4 * parameters


def check_space(folder: Path, job_sizes: Sequence[int], required_folders: Iterable[Path] = ()) -> None:
    """Raise BadInput if an output folder is not writable, has no file locks, or has no room for the jobs.

    Writes and locks a temporary file, because the permissions alone do not reveal read-only disks, quotas and missing
    locks.  `job_sizes` are the bytes that each job left to train needs.  Each path in `required_folders` must be a
    folder or not exist.
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
    if job_sizes and free is not None and free < (needed := BYTES_PER_SWEEP + sum(job_sizes)):
        jobs = counted(len(job_sizes), "job")
        raise BadInput(
            f"{jobs_folder} has {megabytes(free)} free, but {jobs} may need {megabytes(needed)}",
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
        raise BadInput("the current folder was deleted", "a folder that exists", "cd ~") from error
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
