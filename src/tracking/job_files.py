"""Prepares a finished job's files for its run, with its picture in the form that MLflow's image grid reads.

`MlflowClient.log_image(image, key=, step=)` writes an image and a thumbnail under names with the current time and a
random id, so two calls create two images. This module builds names in the format of mlflow 3.17 from the job's finish
time and key instead. A second delivery therefore overwrites the first.
"""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from PIL import Image

from src.runs.folder import FinishedJob, JobFolder
from src.storage.stored import read_stored
from src.tracking.charts import IMAGE_KEY, IMAGE_STEP

LOGGED_IMAGES_TAG = ("mlflow.loggedImages", "True")  # MLflow's page shows images only of runs with this tag
# The largest width and height of a thumbnail, in pixels. MLflow's own limit of 256 blurs the labels of a tall grid. Two
# thumbnails of width 264 fit into a 1,600-pixel window beside MLflow's assistant, and three fit without it.
THUMBNAIL_SIZE = (264, 512)


@contextlib.contextmanager
def job_files(job: JobFolder, job_key: str, finished: int) -> Iterator[dict[str, Path]]:
    """Yield the job's files by their paths in the run, including files that the folder lost.

    The picture of the worst mistakes and its thumbnail exist only inside the context.
    """
    files = {name: job.path / name for name in FinishedJob(job).artifacts}
    images: dict[str, bytes] = {}
    with contextlib.suppress(OSError, SyntaxError, ValueError):  # no picture, or a damaged PNG
        images = image_files(read_stored(files["misclassified.png"]), job_key, finished)
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in images.items():
            path = Path(scratch, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            files[name] = path
        yield files


def image_files(png: bytes, job_key: str, finished: int) -> dict[str, bytes]:
    """Return an image and its lossless thumbnail as bytes, by their paths in the run."""
    with Image.open(io.BytesIO(png)) as image:
        thumbnail = image.convert("RGB")
    thumbnail.thumbnail(THUMBNAIL_SIZE, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    thumbnail.save(buffer, "WEBP", lossless=True, method=1, quality=0)  # ten times faster; the file is a sixth larger
    return dict(zip(image_paths(job_key, finished), (png, buffer.getvalue()), strict=True))


def image_paths(job_key: str, finished: int) -> tuple[str, str]:
    """Return the paths of a job's image and thumbnail in the run; `finished` is in milliseconds since 1970."""
    image_id = uuid5(NAMESPACE_URL, f"normlab:image/{job_key}/{IMAGE_KEY}/{IMAGE_STEP}")
    name = f"images/{IMAGE_KEY}+step+{IMAGE_STEP}+timestamp+{finished}+{image_id}"
    return f"{name}.png", f"{name}+compressed.webp"
