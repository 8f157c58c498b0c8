import numpy as np
import pytest
import torch
from scipy import stats

from src.bad_input import BadInput
from tests.augmentation.reference import build, default, labels, normalised, pixels, seeded


def official_mask(row, column, length, size):
    """Which pixels stay, by the authors' code (github.com/uoguelph-mlrg/Cutout), for an even length."""
    mask = np.ones((size, size), bool)
    y1, y2 = np.clip(row - length // 2, 0, size), np.clip(row + length // 2, 0, size)
    x1, x2 = np.clip(column - length // 2, 0, size), np.clip(column + length // 2, 0, size)
    mask[y1:y2, x1:x2] = False
    return mask


def holes(count, hole=16, size=32):
    """Which pixels of the images stay."""
    images = normalised(pixels(1, size=size)).expand(count, -1, -1, -1)
    augmented, target = build("cutout", hole=hole, padding=0, flip=False)(images, labels(count), seeded())
    stays = (augmented == images).all(dim=1)
    assert (augmented[~stays[:, None].expand_as(augmented)] == 0).all()
    assert torch.equal(target, labels(count))
    return stays.numpy()


def test_each_image_lacks_one_of_the_squares_of_the_authors_code():
    masks = np.stack([official_mask(row, column, 16, 32) for row in range(32) for column in range(32)])
    stays = holes(2000).reshape(2000, -1)
    codes = {mask.tobytes(): index for index, mask in enumerate(masks.reshape(1024, -1))}
    assert len(codes) == 1024
    centres = np.array([codes[mask.tobytes()] for mask in stays])
    for positions in (centres // 32, centres % 32):
        assert stats.chisquare(np.bincount(positions, minlength=32)).pvalue > 0.01


def test_a_hole_of_an_odd_size_has_this_size():
    assert holes(300, hole=5).sum(axis=(1, 2)).min() == 32 * 32 - 25


def test_the_images_are_cropped_and_flipped_first():
    images = normalised(pixels(20))
    cropped, _ = build("crop_flip")(images, labels(20), seeded())
    augmented, _ = build("cutout")(images, labels(20), seeded())
    kept = augmented != 0
    assert torch.equal(augmented[kept], cropped[kept])
    assert not torch.equal(augmented[kept], images[kept])


def test_a_hole_as_large_as_the_image_is_refused():
    default("cutout").check_images(17, "folder")
    with pytest.raises(BadInput, match=r"folder: augmentation.hole=16 is too large for images of 16 x 16 pixels"):
        default("cutout").check_images(16, "folder")
    with pytest.raises(BadInput, match=r"augmentation\.padding"):
        default("cutout").check_images(4, "folder")
