"""A finished job's files as its run shows them."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from src.runs.folder import ARTIFACTS, JobFolder
from src.storage.stored import read_stored
from src.tracking.charts import IMAGE_KEY, IMAGE_STEP
from src.tracking.images import image_files, image_names


def image_paths(job_key: str, finished: int) -> tuple[str, str]:
    """Where the run of a job that finished then shows its worst mistakes: the picture and its thumbnail."""
    return image_names(job_key, IMAGE_KEY, IMAGE_STEP, finished)


@contextlib.contextmanager
def job_files(job: JobFolder, job_key: str, finished: int) -> Iterator[dict[str, Path]]:
    """The files by their place in the run; the page's picture and thumbnail are there while the context is open.

    A file that the folder has lost is named all the same.
    """
    files = {name: job.path / name for name in ARTIFACTS}
    images: dict[str, bytes] = {}
    with contextlib.suppress(OSError, SyntaxError, ValueError):  # no picture, or no PNG any more
        images = image_files(read_stored(files["misclassified.png"]), job_key, IMAGE_KEY, IMAGE_STEP, finished)
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in images.items():
            path = Path(scratch, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            files[name] = path
        yield files
