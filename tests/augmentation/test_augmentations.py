"""What holds for every augmentation; each one's own tests are in `test_<name>.py`."""

import inspect
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from src.augmentation import AUGMENTATIONS
from src.augmentation.none import NoAugmentation
from src.training.history import History
from tests.augmentation.reference import CLASSES, PROJECT, build, labels, normalised, pixels, seeded

CHANGING = [name for name in AUGMENTATIONS if name != NoAugmentation.name]


@pytest.mark.parametrize("name", CHANGING)
def test_equal_generators_give_equal_images_and_other_seeds_others(name):
    images, augment = normalised(pixels(16)), build(name)
    before = images.clone()
    first, second, other = (augment(images, labels(16), seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], other[0])
    assert torch.equal(images, before)  # the batch may be a view of the dataset


@pytest.mark.parametrize("name", CHANGING)
def test_the_global_random_stream_is_not_used(name):
    state = torch.get_rng_state()
    build(name)(normalised(pixels(4)), labels(4), seeded())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", CHANGING)
@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28)])
def test_the_order_in_memory_does_not_matter(name, channels, size):
    images, augment = normalised(pixels(8, channels, size)), build(name, channels)
    rows = images.permute(0, 2, 3, 1).index_select(0, torch.arange(8)).permute(0, 3, 1, 2)  # as the loop gathers them
    expected, target = augment(images.contiguous(), labels(8), seeded())
    for batch in (images, rows):
        augmented, same_target = augment(batch, labels(8), seeded())
        assert torch.equal(augmented, expected)
        assert torch.equal(same_target, target)
        assert augmented.is_contiguous(memory_format=torch.channels_last)
        assert (augmented.dtype, augmented.shape) == (images.dtype, images.shape)


@pytest.mark.parametrize("name", CHANGING)
def test_the_target_is_labels_or_probabilities(name):
    _, target = build(name)(normalised(pixels(50)), labels(50), seeded())
    if target.ndim == 1:
        assert torch.equal(target, labels(50))
    else:
        assert target.shape == (50, CLASSES)
        assert (target >= 0).all()
        torch.testing.assert_close(target.sum(dim=1), torch.ones(50))


@pytest.mark.parametrize("name", CHANGING)
def test_a_batch_of_one_image_works(name):
    augmented, _ = build(name)(normalised(pixels(1)), labels(1), seeded())
    assert augmented.isfinite().all()


@pytest.mark.parametrize("name", CHANGING)
def test_nothing_asks_the_device_for_a_value_or_sends_it_one(name, monkeypatch):
    """A fake tensor has no values, so a branch on one or a read of one raises an error; a CUDA graph allows neither."""
    augment, images, target = build(name), normalised(pixels(8)), labels(8)
    monkeypatch.delattr(torch, "tensor")  # it copies a value to the device, which a CUDA graph does not allow either
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        augmented, _ = augment(fake.from_tensor(images), fake.from_tensor(target), seeded())
    assert augmented.shape == (8, 3, 32, 32)


def test_label_smoothing_of_mixed_labels_smooths_the_probabilities():
    _, target = build("mixup")(normalised(pixels(6)), labels(6), seeded())
    logits = torch.randn(6, CLASSES, generator=seeded())
    smooth = 0.9 * target + 0.1 / CLASSES
    by_hand = -(smooth * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(F.cross_entropy(logits, target, label_smoothing=0.1), by_hand)


def test_training_accuracy_counts_the_most_probable_class_of_a_mixed_label():
    _, target = build("mixup")(normalised(pixels(30)), labels(30), seeded())
    logits, history = torch.randn(30, CLASSES, generator=seeded()), History(1)
    history.append(logits, target, torch.zeros(()))
    ((loss, _, hits),) = history.steps().tolist()
    assert hits == sum(int(logits[i].argmax()) == int(target[i].argmax()) for i in range(30))
    assert loss == pytest.approx(float(-(target * logits.log_softmax(dim=1)).sum(dim=1).mean()))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_has_all_its_parts(name):
    """Names what a new augmentation still lacks."""
    augmentation = AUGMENTATIONS[name]
    module = Path(inspect.getfile(augmentation)).stem
    lacking = [
        what
        for what, there in {
            "title": hasattr(augmentation, "title"),
            "docstring": augmentation.__doc__,
            f"conf/augmentation/{name}.yaml": (PROJECT / f"conf/augmentation/{name}.yaml").is_file(),
            f"tests/augmentation/test_{module}.py": name == NoAugmentation.name
            or (PROJECT / f"tests/augmentation/test_{module}.py").is_file(),
        }.items()
        if not there
    ]
    assert not lacking, f"augmentation={name} lacks {', '.join(lacking)}"
