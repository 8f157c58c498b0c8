from dataclasses import replace

import numpy as np
import pytest
import torch

from src.bad_input import BadInput
from src.data.images import Images, Source, as_images
from src.data.sizes import check_sizes, held_out_count, split_text, train_size
from src.data.split_indices import check_limit
from src.data.splits import Split, channel_statistics, make_splits
from src.datasets import IDX
from src.training import device

TRAIN, TEST = 200, 40
DATA = IDX(batch_size=8, validation=50, split_seed=0)


def made_up(channels: int = 3) -> Images:
    """Images whose labels are their positions, which identify them in a split."""
    random = np.random.default_rng(3)
    bright = np.array([40, 90, 200])[:channels, None, None]
    pixels = random.normal(bright, bright / 4, (TRAIN + TEST, channels, 28, 28)).clip(0, 255).astype(np.uint8)
    source = Source("", "", TRAIN, TEST, channels, 28, tuple(map(str, range(TRAIN))))
    return Images(
        source, pixels[:TRAIN], np.arange(TRAIN, dtype=np.uint8), pixels[TRAIN:], np.arange(TEST, dtype=np.uint8)
    )


def floats(split: Split) -> torch.Tensor:
    """The split's normalised images."""
    return split.normalise(split.images)


def positions(split: Split) -> list[int]:
    return split.labels.tolist()


def test_validation_and_training_share_no_image_and_lose_none():
    splits = make_splits(DATA, made_up())
    assert len(splits.validation) == DATA.validation
    assert sorted(positions(splits.train) + positions(splits.validation)) == list(range(TRAIN))


def test_each_image_keeps_its_label():
    images, splits = made_up(), make_splits(DATA, made_up())
    mean, deviation = channel_statistics(images.train_images[positions(splits.train)])
    for split, pixels in (
        (splits.train, images.train_images),
        (splits.validation, images.train_images),
        (splits.test, images.test_images),
    ):
        restored = (floats(split) * deviation + mean).round().numpy()
        assert np.array_equal(restored, pixels[positions(split)])


def test_both_splits_keep_the_files_order():
    splits = make_splits(DATA, made_up())
    assert positions(splits.train) == sorted(positions(splits.train))
    assert positions(splits.validation) == sorted(positions(splits.validation))


def test_the_validation_split_depends_on_its_own_seed_alone():
    def drawn(**changes):
        return positions(make_splits(replace(DATA, **changes), made_up()).validation)

    torch.manual_seed(1)
    np.random.seed(1)
    assert drawn() == drawn(limit=10, batch_size=1)
    assert drawn() != drawn(split_seed=1)


def test_the_validation_split_is_drawn_from_the_whole_file():
    drawn = positions(make_splits(DATA, made_up()).validation)
    assert drawn != list(range(50))
    assert 70 < np.mean(drawn) < 130


@pytest.mark.parametrize("limit", [1, 60, 150, 1000])
def test_a_limit_keeps_the_first_training_images_of_the_file(limit):
    whole, limited = make_splits(DATA, made_up()), make_splits(replace(DATA, limit=limit), made_up())
    assert positions(limited.train) == positions(whole.train)[:limit]
    assert positions(limited.validation) == positions(whole.validation)
    assert len(limited.test) == TEST


@pytest.mark.parametrize("limit", [None, 60])
@pytest.mark.parametrize("channels", [1, 3])
def test_training_images_have_mean_0_and_variance_1_in_every_channel(channels, limit):
    train = make_splits(replace(DATA, limit=limit), made_up(channels)).train
    train = floats(train).numpy().astype(np.float64)
    assert train.mean(axis=(0, 2, 3)) == pytest.approx(0, abs=1e-5)
    assert train.var(axis=(0, 2, 3)) == pytest.approx(1, abs=1e-5)


def test_validation_and_test_are_normalised_by_the_training_images():
    images, splits = made_up(), make_splits(DATA, made_up())
    train = images.train_images[positions(splits.train)].astype(np.float64)
    mean, deviation = train.mean(axis=(0, 2, 3), keepdims=True), train.std(axis=(0, 2, 3), keepdims=True)
    expected = (images.train_images[positions(splits.validation)] - mean) / deviation
    assert np.allclose(floats(splits.validation).numpy(), expected, atol=1e-5)
    assert np.allclose(floats(splits.test).numpy(), (images.test_images - mean) / deviation, atol=1e-5)


def test_test_images_do_not_change_the_normalisation():
    images = made_up()
    darker = replace(images, test_images=images.test_images // 2)
    assert torch.equal(floats(make_splits(DATA, images).train), floats(make_splits(DATA, darker).train))


def test_training_and_validation_use_nothing_of_the_test_file():
    images = made_up()
    for seed in range(3):
        assert positions(make_splits(replace(DATA, split_seed=seed), images).test) == list(range(TEST))


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_channel_becomes_zero(value):
    images = made_up()
    images.train_images[:, 1] = value
    train = floats(make_splits(DATA, images).train)
    assert (train[:, 1] == 0).all()
    assert train.isfinite().all()


def test_tensors_have_the_networks_types_and_layout():
    train = make_splits(DATA, made_up()).train
    images, labels = train.batch(torch.arange(7))
    assert (train.images.dtype, images.dtype, labels.dtype) == (torch.uint8, torch.float32, torch.int64)
    for pixels in (train.images, images, floats(train)):
        assert pixels.is_contiguous(memory_format=torch.channels_last)


def with_own_validation(channels: int = 3) -> Images:
    """The last 30 training images become the dataset's own validation images."""
    images = made_up(channels)
    return as_images(
        *("", "", images.source.classes),
        (images.train_images[:-30], images.train_labels[:-30]),
        (images.test_images, images.test_labels),
        (images.train_images[-30:], images.train_labels[-30:]),
    )


def test_a_datasets_own_validation_images_are_used():
    splits = make_splits(replace(DATA, validation=None, limit=100), with_own_validation())
    assert positions(splits.validation) == list(range(TRAIN - 30, TRAIN))
    assert positions(splits.train) == list(range(100))


@pytest.mark.parametrize(
    ("changes", "named"), [({"validation": 10}, "validation=10"), ({"split_seed": 1}, "split_seed=1")]
)
def test_another_split_is_refused_if_the_dataset_has_its_own(changes, named):
    data, source = replace(DATA, validation=None), with_own_validation().source
    named = "=".join(str(part) for part in next(iter(changes.items())))
    check_sizes(data, source)
    assert "170 training, 30 own validation and 40 test images, 28 x 28 pixels, colour" in split_text(data, source)
    with pytest.raises(BadInput, match=rf"has 30 validation images of its own, so data\.{named} has no effect"):
        check_sizes(replace(data, **changes), source)


def test_without_a_number_a_tenth_of_the_training_images_is_for_validation():
    data = replace(DATA, validation=None)
    check_sizes(data, made_up().source)
    splits = make_splits(data, made_up())
    assert (len(splits.train), len(splits.validation)) == (180, 20)
    assert (held_out_count(60_000, None), held_out_count(5, None)) == (5000, 1)


@pytest.mark.parametrize("own_validation", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_has_the_bits_and_layout_of_images_that_are_normalised_at_once(channels, own_validation):
    images = with_own_validation(channels) if own_validation else made_up(channels)
    splits = make_splits(replace(DATA, validation=None if own_validation else 50), images)
    indices = torch.randperm(100)[:7]
    for bytes_split in (splits.train, splits.validation, splits.test):
        pixels = bytes_split.images.float().sub_(splits.mean).div_(splits.deviation)
        float_split = Split(pixels.contiguous(memory_format=torch.channels_last), bytes_split.labels)
        for split in (bytes_split, bytes_split.to(torch.device("cpu"))):
            chosen = indices % len(split)
            for (found, labels), (wanted, wanted_labels) in (
                (split.batch(chosen), float_split.batch(chosen)),
                ((floats(split), split.labels), (float_split.images, float_split.labels)),
            ):
                assert torch.equal(found, wanted)
                assert found.stride() == wanted.stride()  # the strides choose the convolution's algorithm
                assert torch.equal(labels, wanted_labels)
            assert torch.equal(split.batch(chosen)[0], float_split.images[chosen])
            assert torch.equal(split.batch(chosen)[1], split.labels[chosen])


@pytest.mark.parametrize(("spare", "kind"), [(0, torch.float32), (1, torch.uint8)])
def test_a_gpu_gets_the_images_of_a_small_dataset_as_floats(spare, kind, monkeypatch):
    splits = make_splits(replace(DATA, validation=20), made_up(1))
    monkeypatch.setattr(device, "MOST_FLOAT_BYTES", 4 * 784 * (TRAIN + TEST) - spare)
    copied = device._copy_splits(splits, torch.device("cpu"))
    indices = torch.randperm(20)[:7]
    for name in ("train", "validation", "test"):
        copy, split = getattr(copied, name), getattr(splits, name)
        assert copy.images.dtype == kind
        assert torch.equal(copy.batch(indices)[0], floats(split)[indices])
        assert torch.equal(copy.normalise(copy.images), floats(split))
        assert torch.equal(copy.labels, split.labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": 199, "batch_size": 1}, None),
        ({"validation": 200, "batch_size": 1}, "data.validation=200 leaves none"),
        ({"validation": 5000, "batch_size": 1}, "data.validation=5000 leaves none"),
        ({"batch_size": 150}, None),
        ({"batch_size": 151}, "is larger than the 150 training images"),
        ({"batch_size": 10, "limit": 10}, None),
        ({"batch_size": 11, "limit": 10}, "is larger than the 10 training images"),
    ],
)
def test_empty_splits_and_epochs_without_steps_are_refused(changes, message):
    data = replace(DATA, **changes)
    if message is None:
        check_sizes(data, made_up().source)
        return
    with pytest.raises(BadInput, match=message) as refused:
        check_sizes(data, made_up().source)
    assert len(str(refused.value).splitlines()) <= 3


def test_a_limit_that_leaves_out_a_class_is_refused():
    """In a file sorted by class, the first images have one class."""
    labels = np.repeat(np.arange(4, dtype=np.uint8), TRAIN // 4)
    images = replace(made_up(), train_labels=labels)
    smallest = 1 + positions(make_splits(DATA, images).train).index(3)
    with pytest.raises(BadInput, match=f"data.limit={smallest - 1} keeps .* none of 1 of the 4 classes") as refused:
        check_limit(replace(DATA, limit=smallest - 1), images)
    assert str(refused.value).endswith(f"write: data.limit={smallest}")
    for limit in (smallest, 999, None):
        check_limit(replace(DATA, limit=limit), images)
    assert set(positions(make_splits(replace(DATA, limit=smallest), images).train)) == {0, 1, 2, 3}


@pytest.mark.parametrize("changes", [{}, {"limit": 10}, {"limit": 150}, {"limit": 999}, {"validation": 1}])
def test_train_size_is_the_size_of_the_training_split(changes):
    data = replace(DATA, **changes)
    assert train_size(data, made_up().source) == len(make_splits(data, made_up()).train)
    own = replace(data, validation=None)
    assert train_size(own, with_own_validation().source) == len(make_splits(own, with_own_validation()).train)
