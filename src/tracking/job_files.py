"""Prepares a finished job's files for its run, with its picture in the form that MLflow's image grid reads.

`MlflowClient.log_image(image, key=, step=)` writes an image and a thumbnail under names with the current time and a
random id, so two calls create two images. This module builds the same names, those of mlflow 3.17, from the job's own
time and key. A second delivery therefore overwrites the first.
"""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from PIL import Image

from src.runs.folder import ARTIFACTS, JobFolder
from src.storage.stored import read_stored
from src.tracking.charts import IMAGE_KEY, IMAGE_STEP

LOGGED_IMAGES_TAG = ("mlflow.loggedImages", "True")  # the page asks only runs with this tag for images
# The page shows a thumbnail at its own size. mlflow's has 256 pixels on the longer side, which blurs the labels of a
# tall grid. Two of 264 pixels fit into a 1,600-pixel window beside MLflow's assistant, and three without it.
THUMBNAIL = (264, 512)


@contextlib.contextmanager
def job_files(job: JobFolder, job_key: str, finished: int) -> Iterator[dict[str, Path]]:
    """Yield the files by their path in the run, also those that the folder lost.

    The image and its thumbnail exist only inside the context.
    """
    files = {name: job.path / name for name in ARTIFACTS}
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
    """Return the image and its thumbnail by artifact path. The thumbnail is lossless, because labels are small."""
    with Image.open(io.BytesIO(png)) as image:
        small = image.convert("RGB")
    small.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", lossless=True, method=1, quality=0)  # a tenth of the time, a sixth more bytes
    return dict(zip(image_paths(job_key, finished), (png, buffer.getvalue()), strict=True))


def image_paths(job_key: str, finished: int) -> tuple[str, str]:
    """Return the artifact paths of the image and its thumbnail. `finished` is in milliseconds since 1970."""
    identity = uuid5(NAMESPACE_URL, f"normlab:image/{job_key}/{IMAGE_KEY}/{IMAGE_STEP}")
    name = f"images/{IMAGE_KEY}+step+{IMAGE_STEP}+timestamp+{finished}+{identity}"
    return f"{name}.png", f"{name}+compressed.webp"
