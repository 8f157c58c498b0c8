"""The lines of a plan about the datasets of its jobs."""

import shlex
from collections.abc import Sequence
from dataclasses import replace

from src.data.sizes import split_text
from src.datasets import Data, Folder
from src.storage.space import megabytes
from src.sweep.grid import GridJob
from src.wording import shorten

MAX_LINES = 5  # datasets, and label noises


def dataset_lines(jobs: Sequence[GridJob]) -> list[str]:
    """Return a line per dataset with the sizes of its splits and images, and the memory that it takes.

    Other lines say how many labels a label noise changes, and where the decoded images of folders are.
    """
    by_digest = {job.source.digest: job for job in jobs}
    texts = [f"data: {job.config.data.name}, {split_text(job.config.data, job.source)}" for job in by_digest.values()]
    lines = shorten(texts, MAX_LINES, "data: {:,} more datasets")
    noisy = dict.fromkeys(replace(job.config.data, batch_size=1) for job in jobs if job.config.data.label_noise)
    lines += shorten(map(_label_noise_line, noisy), MAX_LINES, "label noise: {:,} more datasets")
    if any(isinstance(job.config.data, Folder) for job in by_digest.values()):
        from src.data.image_cache import cache_bytes  # with the line below, imports Pillow
        from src.data.sources import image_cache_folder

        cache = image_cache_folder()
        delete = f"rm -r {shlex.quote(str(cache))}"
        lines.append(f"decoded images: {megabytes(cache_bytes(cache))} in {cache}; to delete them: {delete}")
    return lines


def _label_noise_line(data: Data) -> str:
    """Return how many labels the noise of a dataset changes; this loads the dataset."""
    from src.data.label_noise import changed_label_count, training_labels
    from src.data.sources import load

    images = load(data)
    changed, total = changed_label_count(data, images), len(training_labels(data, images))
    seed = f" data.noise_seed={data.noise_seed}" if data.noise_seed else ""
    return f"label noise: data.label_noise={data.label_noise:g}{seed} changes {changed:,} of {total:,} training labels"
