"""Whether there is room for what a sweep will leave, found out before anything is made."""

import shutil
import tempfile
from pathlib import Path

from src.bad_input import BadInput

# Bytes that a job takes: the default network on MNIST leaves 0.64 MB in its folder and 0.76 MB in MLflow's
# copy of it (most of both are the predictions for 10,000 test images), and has had 0.4 MB of checkpoints meanwhile.
JOB = 2_000_000
# Bytes besides: MLflow's new database, 1 MB, and as much again while its tables are made; the sweep's report, figures
# and galleries, 4 MB, and MLflow's copy of them.
SWEEP = 10_000_000


def check_space(folder: Path, jobs: int) -> None:
    """Refuse an output folder that cannot be written to, or a disk without room for what is to be trained.

    A file without a name is really written, where `folder` is or will be made: permission, a read-only disk and a
    quota show nowhere else, least of all to the administrator.  Nothing of it remains.

    Args:
        folder: where the jobs' folders go; it need not exist.
        jobs: how many are to be trained.

    Raises:
        BadInput: naming the folder, and what is missing.
    """
    place = nearest_folder(folder.absolute())
    elsewhere = "a current folder to write in"
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(bytes(4096))
            probe.flush()
        free = shutil.disk_usage(place).free
    except OSError as error:
        raise BadInput(f"nothing can be written to {place}: {error.strerror}", elsewhere) from error
    if jobs and free < (needed := SWEEP + jobs * JOB):
        raise BadInput(
            f"{megabytes(free)} are free in {place}; {jobs:,} jobs leave about {megabytes(needed)}",
            f"{elsewhere}, with more room",
            "fewer values, or the same command again once there is room: finished jobs are kept",
        )


def nearest_folder(path: Path) -> Path:
    """The path itself, or what of it exists already.

    Raises:
        BadInput: where that is a file.
    """
    found = next(place for place in (path, *path.parents) if place.exists())
    if not found.is_dir():
        raise BadInput(f"{found} is in the way: it is no folder", "a current folder to write in")
    return found


def megabytes(size: int) -> str:
    """Bytes in words."""
    return f"{size / 1e6:,.0f} MB"
