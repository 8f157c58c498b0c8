import numpy as np
import torch

from src.augmentation.modules.mixtures import cutmix, draw_beta
from tests.augmentation.reference import CLASSES, labels, normalised, pixels, seeded


def official_box(size, weight, row, column):
    """The rectangle by the authors' code (github.com/clovaai/CutMix-PyTorch), for one image."""
    cut = int(size * np.sqrt(1.0 - weight))
    top, bottom = np.clip(row - cut // 2, 0, size), np.clip(row + cut // 2, 0, size)
    left, right = np.clip(column - cut // 2, 0, size), np.clip(column + cut // 2, 0, size)
    return slice(top, bottom), slice(left, right)


def test_each_image_has_the_rectangle_of_the_authors_code_and_the_probabilities_are_its_shares():
    count, size = 60, 32
    images = normalised(pixels(count))
    mixed, target = cutmix(images, labels(count), CLASSES, 1.0, seeded())
    generator = seeded()
    weights = draw_beta(count, 1.0, generator).numpy()
    rows, columns = (torch.randint(size, (count,), generator=generator).tolist() for _ in range(2))
    for index in range(count):
        following = (index + 1) % count
        box = official_box(size, weights[index], rows[index], columns[index])
        expected = images[index].clone()
        expected[:, box[0], box[1]] = images[following][:, box[0], box[1]]
        assert torch.equal(mixed[index], expected)
        kept = 1 - np.zeros((size, size))[box].size / size**2
        probabilities = np.zeros(CLASSES)
        probabilities[labels(count)[index]] += kept
        probabilities[labels(count)[following]] += 1 - kept
        np.testing.assert_allclose(target[index], probabilities, atol=1e-6)
    assert len(set(target.max(dim=1).values.tolist())) > count / 2
