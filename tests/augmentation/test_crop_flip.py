import numpy as np
import pytest
import torch
from scipy import stats

from src.bad_input import BadInput
from src.datasets import DATASETS
from tests.augmentation.reference import build, default, labels, normalised, pixels, seeded


def all_crops(image, padding):
    """Every window of the padded image (C, H, W), plain and mirrored, by row, column and mirroring."""
    size, padded = image.shape[1], np.pad(image, ((0, 0), (padding, padding), (padding, padding)), mode="reflect")
    return {
        (row, column, mirrored): window[:, :, ::-1] if mirrored else window
        for row in range(2 * padding + 1)
        for column in range(2 * padding + 1)
        for mirrored in (False, True)
        for window in [padded[:, row : row + size, column : column + size]]
    }


@pytest.mark.parametrize(("channels", "size", "padding"), [(3, 32, 4), (1, 28, 2)])
def test_each_image_is_one_of_the_crops_of_the_padded_image(channels, size, padding):
    images = pixels(40, channels, size)
    augment = build("crop_flip", channels, padding=padding)
    augmented, target = augment(normalised(images), labels(40), seeded())
    found = []
    for image, result in zip(images, augmented, strict=True):
        crops = all_crops(image, padding)
        expected = normalised(np.stack(list(crops.values())))
        (match,) = (expected == result).all(dim=(1, 2, 3)).nonzero().flatten().tolist()
        found.append(list(crops)[match])
    assert len(set(found)) > 25  # each image draws its own crop
    assert torch.equal(target, labels(40))


def test_offsets_and_flips_are_equally_likely():
    size, padding, count = 8, 2, 4000
    images = torch.arange(size * size).float().view(1, 1, size, size).expand(count, 1, size, size)
    augmented, _ = build("crop_flip", 1, padding=padding)(images, labels(count), seeded())
    middle = augmented[:, 0, size // 2, size // 2]  # no crop reaches a reflected pixel here
    neighbour = augmented[:, 0, size // 2, size // 2 + 1]
    mirrored = neighbour < middle
    rows = (middle // size).long() - size // 2 + padding
    columns = (middle % size).long() - torch.where(mirrored, size // 2 - 1, size // 2) + padding
    counts = torch.bincount((rows * 5 + columns) * 2 + mirrored, minlength=50)
    assert len(counts) == 50
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_without_padding_and_flip_the_images_stay_as_they_are():
    images = normalised(pixels(5))
    augmented, _ = build("crop_flip", padding=0, flip=False)(images, labels(5), seeded())
    assert torch.equal(augmented, images)


def test_without_flip_no_image_is_mirrored():
    images = torch.arange(32.0).expand(200, 1, 32, 32)  # values rise from left to right
    augmented, _ = build("crop_flip", 1, padding=4, flip=False)(images, labels(200), seeded())
    assert (augmented[..., 5:-4] > augmented[..., 4:-5]).all()


def test_a_padding_as_large_as_the_image_is_refused():
    default("crop_flip", padding=4).check_images(5, "folder")
    with pytest.raises(BadInput, match=r"folder: augmentation.padding=4 is too large for images of 4 x 4 pixels"):
        default("crop_flip", padding=4).check_images(4, "folder")


def test_only_mirrored_digits_and_letters_are_warned_of():
    datasets = [dataset() for dataset in DATASETS.values()]
    for data in datasets:
        assert bool(default("crop_flip", flip=True).warning(data)) == data.shows_characters
        assert not default("crop_flip", flip=False).warning(data)
    assert {data.name for data in datasets if data.shows_characters} == {"mnist", "kmnist", "emnist", "svhn"}
