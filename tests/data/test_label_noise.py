"""Label noise (Zhang et al. 2017): some training labels become a random class, and no other label changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from src.bad_input import BadInput
from src.data.images import Images, Source
from src.data.label_noise import changed_label_count, training_labels
from src.data.split_indices import split_indices
from src.data.splits import load_splits, make_splits
from src.datasets import IDX, Synthetic

COUNT, CLASSES = 60_000, 5
DATA = IDX(batch_size=8, validation=10_000, split_seed=0)


@pytest.fixture(scope="module")
def images():
    """Sixty thousand images of one pixel, with as many labels of each class."""
    pixels = np.zeros((COUNT, 1, 1, 1), np.uint8)
    labels = (np.arange(COUNT) % CLASSES).astype(np.uint8)
    source = Source("", "", COUNT, CLASSES, 1, 1, tuple(map(str, range(CLASSES))))
    return Images(source, pixels, labels, pixels[:CLASSES], labels[:CLASSES])


def noisy(share, **changes):
    return replace(DATA, label_noise=share, **changes)


def clean_labels(data, images):
    return images.train_labels[split_indices(data, images)[0]].astype(np.int64)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_labels_are_redrawn_uniformly_over_all_classes(share, images):
    data = noisy(share)
    before, after = clean_labels(data, images), training_labels(data, images)
    # A redrawn label is each class with equal probability, also its own.
    expected = (1 - share) * np.eye(CLASSES) + share / CLASSES
    found = np.histogram2d(before, after, bins=CLASSES)[0]
    rows = found.sum(axis=1, keepdims=True)
    deviations = (found - rows * expected) / np.sqrt(rows * expected * (1 - expected))
    assert np.abs(deviations).max() < 4  # the largest of 25 normal values exceeds 4 with probability 0.16 %
    assert changed_label_count(data, images) == (before != after).sum()


def test_without_noise_no_label_changes(images):
    assert np.array_equal(training_labels(DATA, images), clean_labels(DATA, images))
    assert changed_label_count(DATA, images) == 0


def test_only_the_share_and_the_noise_seed_decide_an_images_label(images):
    labels = {}
    for split_seed, limit, validation, batch_size in ((0, None, 10_000, 8), (1, None, 5_000, 16), (2, 9_000, 1, 32)):
        changes = {"split_seed": split_seed, "limit": limit, "validation": validation, "batch_size": batch_size}
        data = noisy(0.5, **changes)
        for image, label in zip(split_indices(data, images)[0], training_labels(data, images), strict=True):
            assert labels.setdefault(image, label) == label
    other = training_labels(noisy(0.5, noise_seed=1), images)
    assert 0.5 < (other != training_labels(noisy(0.5), images)).mean() < 0.7  # 0.6 if the seeds are independent


def test_a_larger_share_repeats_the_changes_of_a_smaller_one(images):
    before, some, more = (training_labels(noisy(share), images) for share in (0, 0.2, 0.4))
    changed = some != before
    assert np.array_equal(more[changed], some[changed])
    assert (more != before).sum() > 1.8 * changed.sum()


def test_the_noise_does_not_repeat_the_numbers_of_the_split(images):
    is_changed = training_labels(noisy(0.5, validation=1), images) != clean_labels(noisy(0, validation=1), images)
    drawn = np.random.default_rng(0).random(COUNT)[: len(is_changed)]
    assert abs(np.corrcoef(is_changed, drawn)[0, 1]) < 5 / COUNT**0.5


def test_only_training_labels_change(images):
    clean, changed = make_splits(DATA, images), make_splits(noisy(1.0), images)
    assert changed.train.labels.tolist() == training_labels(noisy(1.0), images).tolist()
    assert changed.train.labels.dtype == clean.train.labels.dtype
    assert torch.equal(changed.train.images, clean.train.images)
    for name in ("validation", "test"):
        assert torch.equal(getattr(changed, name).labels, getattr(clean, name).labels)
        assert torch.equal(getattr(changed, name).images, getattr(clean, name).images)


def test_all_noises_share_the_images_in_memory():
    data = Synthetic(
        batch_size=8, validation=20, split_seed=0, classes=4, channels=1, size=28, images=100, test_images=8, noise=1.0
    )
    _, clean = load_splits(data)
    _, changed = load_splits(replace(data, label_noise=1.0, noise_seed=3))
    assert changed.train.images.data_ptr() == clean.train.images.data_ptr()
    assert not torch.equal(changed.train.labels, clean.train.labels)
    assert torch.equal(load_splits(data)[1].train.labels, clean.train.labels)


@pytest.mark.parametrize("data", [replace(DATA, root="somewhere"), Synthetic(size=28)])
def test_a_seed_without_noise_is_refused(data):
    replace(data, noise_seed=1, label_noise=0.1).check()
    with pytest.raises(BadInput, match=r"data.noise_seed=1 has no effect with data.label_noise=0\n"):
        replace(data, noise_seed=1).check()
