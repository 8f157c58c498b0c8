import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms.autoaugment import InterpolationMode, TrivialAugmentWide, _apply_op

from src.augmentation.modules.crops import draw_crops
from src.augmentation.modules.trivial import OPERATIONS, STRENGTHS
from tests.augmentation.reference import DEVIATION, MEAN, build, labels, normalised, pixels, seeded

CHOICES = len(OPERATIONS) * STRENGTHS * 2  # operations, strengths and signs


def reference(image, choice):
    """Apply torchvision's operation to one image (C, H, W) of bytes."""
    space = TrivialAugmentWide()._augmentation_space(STRENGTHS)
    name, (strengths, signed) = list(space.items())[choice // (2 * STRENGTHS)]
    strength = float(strengths[choice // 2 % STRENGTHS]) if strengths.ndim else 0.0
    if signed and choice % 2:
        strength = -strength
    return _apply_op(torch.from_numpy(image), name, strength, InterpolationMode.NEAREST, None).numpy()


@pytest.fixture
def each_choice(monkeypatch):
    """The first draw of each batch gives every combination of operation, strength and sign once."""
    draw = torch.randint

    def randint(high, *rest, **named):
        return torch.arange(CHOICES) if high == CHOICES else draw(high, *rest, **named)

    monkeypatch.setattr(torch, "randint", randint)


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28)])
def test_every_operation_and_strength_equals_torchvisions(each_choice, channels, size):
    images = pixels(CHOICES, channels, size)
    images[5::7] = 77  # one value only
    augment = build("trivial", channels, padding=0, flip=False)
    augmented, target = augment(normalised(images), labels(CHOICES), seeded())
    expected = np.stack([reference(image, choice) for choice, image in enumerate(images)])
    differing = (augmented != normalised(expected)).any(dim=1)  # (N, H, W)
    operation = torch.arange(CHOICES) // (2 * STRENGTHS)
    affine = [OPERATIONS.index(name) for name in ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")]
    moved = torch.isin(operation, torch.tensor(affine))
    assert not differing[~moved].any()
    assert differing[moved].float().mean() < 1e-4  # halfway between two pixels, rounding may choose the other one
    assert torch.equal(target, labels(CHOICES))


def test_the_operation_comes_first_then_crop_and_flip():
    count = 60
    images = pixels(count)
    augmented, _ = build("trivial")(normalised(images), labels(count), seeded())
    generator = seeded()
    choices = torch.randint(CHOICES, (count,), generator=generator).tolist()
    rows, columns = draw_crops(normalised(images), 4, True, generator)
    wrong = 0
    for index, choice in enumerate(choices):
        result = reference(images[index], choice)
        cropped = result[:, rows[index], columns[index]]
        wrong += int((augmented[index] != normalised(cropped[None])[0]).sum())
    assert wrong <= 10


def test_operations_are_equally_likely_and_each_image_draws_its_own():
    drawn = torch.randint(CHOICES, (5000,), generator=seeded()) // (2 * STRENGTHS)
    assert stats.chisquare(torch.bincount(drawn, minlength=len(OPERATIONS)).numpy()).pvalue > 0.01
    images = normalised(np.repeat(pixels(1), 200, axis=0))
    augmented, _ = build("trivial", padding=0, flip=False)(images, labels(200), seeded())
    assert len({image.numpy().tobytes() for image in augmented}) > 100


def test_the_results_are_pixels():
    augmented, _ = build("trivial")(normalised(pixels(100)), labels(100), seeded())
    values = augmented * DEVIATION + MEAN
    assert (values - values.round()).abs().max() < 1e-3
    assert values.min() > -1e-3
    assert values.max() < 255.001
