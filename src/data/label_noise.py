"""Give some training images the label of a random class (Zhang et al. 2017, arXiv 1611.03530, section 2).

The noise belongs to the data: only `data.label_noise` and `data.noise_seed` decide it.  All methods and seeds therefore
train on the same wrong labels.  Validation and test labels stay as they are.
"""

import numpy as np
import numpy.typing as npt

from src.data.images import Images
from src.data.split_indices import split_indices
from src.datasets import Data

NOISE_STREAM = 1  # distinguishes the random numbers of the noise from those of the split with the same seed


def training_labels(data: Data, images: Images) -> npt.NDArray[np.int64]:
    """Return the labels (N,) that a job trains on, in the order of the training images.

    Each label is redrawn with the probability `data.label_noise`, uniformly from all classes, so some redrawn labels
    stay the same.  Whether and how an image's label changes depends on its place in the file and on the seed of the
    noise.  It does not depend on the split, and a larger share changes the labels of a smaller share in the same way.
    """
    labels = images.train_labels.astype(np.int64)
    if data.label_noise:
        generator = np.random.default_rng([data.noise_seed, NOISE_STREAM])
        is_redrawn = generator.random(len(labels)) < data.label_noise
        labels = np.where(is_redrawn, generator.integers(len(images.source.classes), size=len(labels)), labels)
    return labels[split_indices(data, images)[0]]


def changed_label_count(data: Data, images: Images) -> int:
    """Return how many training images have another label than in the file."""
    labels = images.train_labels[split_indices(data, images)[0]]
    return int((training_labels(data, images) != labels).sum())
