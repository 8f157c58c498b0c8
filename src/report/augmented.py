"""Finds the pictures of augmented images that a report shows."""

from src.figures.galleries import Gallery
from src.results.results import Results
from src.runs.folder import AUGMENTED, FinishedJob
from src.runs.naming import format_value
from src.storage.png import LARGEST_PICTURE, picture_fault
from src.storage.stored import NoAccess, read_stored

MAX_PICTURES = 6


def augmented_pictures(results: Results) -> dict[str, Gallery]:
    """Return pictures of augmented images by file name without extension, at most `MAX_PICTURES`.

    Each augmentation has one picture per dataset, from the first run whose picture is readable and undamaged.
    """
    pictures: dict[tuple[str, str], Gallery] = {}
    for job in results.jobs.values():
        kind = (_augmentation_text(job), job.start["source"]["digest"])
        path = job.folder.path / AUGMENTED
        if AUGMENTED in job.artifacts and kind not in pictures and len(pictures) < MAX_PICTURES:
            try:
                if not picture_fault(path):
                    pictures[kind] = Gallery(kind[0], read_stored(path, LARGEST_PICTURE))
            except (FileNotFoundError, NoAccess):
                continue  # the report lists the job as incomplete
    return {f"augmented_{number}": picture for number, picture in enumerate(pictures.values(), start=1)}


def _augmentation_text(job: FinishedJob) -> str:
    """Return a job's augmentation with its keys, such as `augmentation=cutmix, beta=1, flip=true, padding=4`."""
    values = {path: value for path, value in job.settings.items() if path.startswith("augmentation.")}
    name = values.pop("augmentation.name")
    keys = sorted(
        f"{path.partition('.')[2]}={format_value(value)}" for path, value in values.items() if value is not None
    )
    return ", ".join([f"augmentation={name}", *keys])
