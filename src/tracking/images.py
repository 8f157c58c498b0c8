"""Images in the form that MLflow's image grid reads, under names that a second delivery repeats.

`MlflowClient.log_image(image, key=, step=)` writes two artifacts, the image and a thumbnail, under a name that carries
the time of the call and a random id: called twice it makes two images.  The names here are mlflow 3.17's, with the
job's own time and an id that follows from the job, the key and the step.
"""

import io
import re
from uuid import NAMESPACE_URL, uuid5

from PIL import Image

LOGGED_IMAGES_TAG = ("mlflow.loggedImages", "True")  # the page asks only runs that carry it for images
# The page shows a thumbnail at its own size.  mlflow's is 256 on the longer side and blurs the labels of a tall grid;
# 264 wide is what stands twice in a 1,600-pixel window beside MLflow's assistant, and three times without it.
THUMBNAIL = (264, 512)


def image_files(png: bytes, job_key: str, image_key: str, step: int, timestamp_ms: int) -> dict[str, bytes]:
    """Map artifact paths to contents: the image as it is, and the thumbnail that the grid shows.

    `timestamp_ms` (since 1970) must come from the job's folder and not from the clock, or a second delivery makes a
    second image.  Raises ValueError for a key that mlflow refuses.
    """
    if not re.fullmatch(r"[a-zA-Z0-9_\-./ ]+", image_key):
        raise ValueError(f"image key {image_key!r}: MLflow takes letters, digits and _ - . / space")
    image, thumbnail = image_names(job_key, image_key, step, timestamp_ms)
    return {image: png, thumbnail: _thumbnail(png)}


def image_names(job_key: str, image_key: str, step: int, timestamp_ms: int) -> tuple[str, str]:
    """The artifact paths of an image and of its thumbnail."""
    identity = uuid5(NAMESPACE_URL, f"normlab:image/{job_key}/{image_key}/{step}")
    name = f"images/{image_key.replace('/', '~')}+step+{step}+timestamp+{timestamp_ms}+{identity}"
    return f"{name}.png", f"{name}+compressed.webp"


def _thumbnail(png: bytes) -> bytes:
    """Shrink an image into `THUMBNAIL` where it is larger.  Lossless: labels are a few pixels high."""
    with Image.open(io.BytesIO(png)) as image:
        small = image.convert("RGB")
    small.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", lossless=True, method=1, quality=0)  # a tenth of the time for a sixth more bytes
    return buffer.getvalue()
