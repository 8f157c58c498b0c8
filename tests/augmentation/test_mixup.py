import numpy as np
import pytest
import torch
from scipy import stats

from src.augmentation.modules.mixtures import draw_beta
from tests.augmentation.reference import CLASSES, build, labels, normalised, pixels, seeded


def test_each_image_and_label_is_mixed_with_the_next_by_its_own_weight():
    images, count = normalised(pixels(12)), 12
    mixed, target = build("mixup", padding=0, flip=False)(images, labels(count), seeded())
    weights = []
    for index in range(count):
        following = (index + 1) % count
        label, other = int(labels(count)[index]), int(labels(count)[following])
        weight = float(target[index, label])
        weights.append(weight)
        expected = np.zeros(CLASSES)
        expected[label] += weight
        expected[other] += 1 - weight
        np.testing.assert_allclose(target[index], expected, atol=1e-6)
        expected = weight * images[index].numpy() + (1 - weight) * images[following].numpy()
        np.testing.assert_allclose(mixed[index], expected, atol=1e-5)
    assert len(set(weights)) == count


def test_two_images_of_one_class_keep_it():
    _, target = build("mixup")(normalised(pixels(4)), torch.full((4,), 3), seeded())
    assert torch.equal(target, torch.eye(CLASSES)[3].expand(4, CLASSES))


@pytest.mark.parametrize("beta", [0.05, 0.2, 1.0, 8.0, 1000.0])
def test_the_weights_follow_the_beta_distribution(beta):
    drawn = draw_beta(20_000, beta, seeded()).double().numpy()
    exact = stats.beta(beta, beta)
    assert (drawn >= 0).all()
    assert (drawn <= 1).all()
    edges = [0, 1e-3, 0.01, 0.1, 0.3, 0.49, 0.5, 0.51, 0.7, 0.9, 0.99, 1 - 1e-3, 1]  # not finer: float32 rounds near 1
    counts, expected = np.histogram(drawn, edges)[0], 20_000 * np.diff(exact.cdf(edges))
    kept = expected > 5
    assert counts[~kept].sum() <= 20
    assert stats.chisquare(counts[kept], expected[kept] * counts[kept].sum() / expected[kept].sum()).pvalue > 0.01
    assert drawn.mean() == pytest.approx(0.5, abs=4 * exact.std() / 20_000**0.5)
    assert drawn.var() == pytest.approx(exact.var(), rel=0.05)
