"""Read a folder of image files, which `image_files` lists, as one dataset."""

import logging
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from src.bad_input import BadInput
from src.data.decode import read_picture
from src.data.idx import Bytes
from src.data.image_cache import Arrays, cache_name, cached
from src.data.image_files import Listing, list_files
from src.data.images import Images, LabelledImages, as_images, content_digest
from src.data.memory import check_memory
from src.data.refusals import unreadable_refusal
from src.limits import usable_cores
from src.wording import joined

log = logging.getLogger(__name__)

DECODER_VERSION = 1  # increase it if images are decoded differently, because caches must not be used then
MANY_FILES = 20_000  # reading so many images takes several seconds, so a message says why the command waits
FILES_PER_TASK = 64  # images that a thread decodes before it takes the next task


def read_image_folder(root: Path, size: int, channels: int | None, cache: Path) -> Images:
    """Return the images of a folder, each brought to `size` x `size` pixels.

    The classes are the folders below `train`, sorted by name.  With `channels` 1 all images become grey, with 3 they
    are RGB; None means 1 if all images are grey, else 3.  The folder `cache` keeps the decoded images.  Raises BadInput
    for folders in another layout, and for images that cannot be used.
    """
    try:
        listing = list_files(root)
    except OSError as error:
        raise unreadable_refusal(Path(error.filename or root), error) from error
    check_memory(root, listing.count * size**2 * (channels or 3))
    path = cache / cache_name(DECODER_VERSION, root.absolute(), size, channels)
    arrays = cached(path, listing.fingerprint, lambda: _decode_all(root, listing, size, channels))
    splits: dict[str, LabelledImages] = {}
    for split, files in listing.files.items():
        labels = np.array([label for _, label in files], dtype=np.uint16)
        splits[split] = arrays[split].transpose(0, 3, 1, 2), labels
    digest = content_digest(
        [*(part for split in arrays for part in (arrays[split], splits[split][1])), np.array(listing.classes)]
    )
    validation = splits.get("validation")
    return as_images(digest, str(root.resolve()), listing.classes, splits["train"], splits["test"], validation)


def _decode_all(root: Path, listing: Listing, size: int, channels: int | None) -> Arrays:
    """Return the decoded images of each split (N, size, size, channels)."""
    if listing.count >= MANY_FILES:
        log.warning("decoding %s images in %s", f"{listing.count:,}", root)
    mode = "L" if channels == 1 else "RGB"
    arrays = {
        split: np.empty((len(files), size, size, 1 if channels == 1 else 3), dtype=np.uint8)
        for split, files in listing.files.items()
    }

    def decode(split: str, start: int) -> dict[str, BadInput]:
        refusals = {}
        for position, (path, _) in enumerate(listing.files[split][start : start + FILES_PER_TASK], start):
            try:
                arrays[split][position] = read_picture(Path(path), size, mode).reshape(arrays[split].shape[1:])
            except BadInput as error:
                refusals[path] = error
        return refusals

    tasks = [(split, start) for split, files in listing.files.items() for start in range(0, len(files), FILES_PER_TASK)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with ThreadPoolExecutor(max_workers=usable_cores()) as threads:
            refusals: dict[str, BadInput] = {}
            try:
                for future in [threads.submit(decode, *task) for task in tasks]:
                    refusals |= future.result()
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
    if len(refusals) > 1:
        paths = [path[len(os.path.join(root, "")) :] for path in refusals]  # noqa: PTH118  # adds the final slash
        raise next(iter(refusals.values())).with_location(f"{len(paths):,} images cannot be used: {joined(paths)}")
    if refusals:
        raise next(iter(refusals.values()))
    if channels is None and all(_is_grey(array) for array in arrays.values()):
        return {split: np.ascontiguousarray(array[..., :1]) for split, array in arrays.items()}
    return arrays


def _is_grey(images: Bytes) -> bool:
    return np.array_equal(images[..., 0], images[..., 1]) and np.array_equal(images[..., 0], images[..., 2])
