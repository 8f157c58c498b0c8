"""Augmentation in whole jobs: bits, files and the picture of what the network sees."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from src.data.splits import load_splits
from src.job import run_job
from src.pictures.augmented import draw_augmented
from src.pictures.tiles import GAP, TILE_SIZE
from src.runs.folder import ARTIFACTS, AUGMENTED, FinishedJob, JobFolder
from src.runs.identity import identity, job_key
from src.runs.integrity import job_fault
from src.training.loop import train
from src.training.network import make_network
from src.training.optimizers import make_optimizer, make_schedule
from src.training.samples import COUNT, DRAWS, augmented_samples
from tests.augmentation.reference import default
from tests.world import configuration


def job(name: str, norm: str = "bn", **keys: object):
    config = configuration(norm)
    return replace(config, augmentation=default(name, **keys), epochs=2)


def key(config) -> str:
    return job_key(identity(config, load_splits(config.data)[0].source.digest))


def build(config):
    images, splits = load_splits(config.data)
    return splits, config.augmentation.build(len(images.source.classes), splits.mean, splits.deviation)


def seen_batches(config):
    """The batches that the network gets in training."""
    images, splits = load_splits(config.data)
    model, seen = make_network(config, images.source), []
    model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()) if module.training else None)
    optimizer = make_optimizer(model, config.optimizer, config.reg)
    schedule = make_schedule(optimizer, config.schedule, config.epochs, 3)
    list(train(model, splits, optimizer, schedule, config, augment=build(config)[1]))
    return torch.stack(seen)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config, folder = job("cutmix"), tmp_path_factory.mktemp("jobs") / "bn_s0"
    run_job(config, folder)
    return config, folder


def test_all_methods_see_the_same_images_and_each_epoch_others():
    bn, gn, other_seed = (
        seen_batches(config) for config in (job("trivial"), job("trivial", "gn"), replace(job("trivial"), seed=1))
    )
    assert torch.equal(bn, gn)
    assert not torch.equal(bn, other_seed)
    first_epoch, second_epoch = bn.chunk(2)
    assert not {image.numpy().tobytes() for image in first_epoch.flatten(0, 1)} & {
        image.numpy().tobytes() for image in second_epoch.flatten(0, 1)
    }


def test_a_resumed_job_has_the_bits_of_an_uninterrupted_one(finished, tmp_path):
    config, folder = finished

    def stop(event: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(config, tmp_path, stop)
    assert JobFolder(tmp_path).records()[-1]["kind"] == "stop"
    assert not JobFolder(tmp_path).finished
    run_job(config, tmp_path)
    for name in ("weights.safetensors", "predictions.npz", AUGMENTED):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert any(record["kind"] == "resume" for record in JobFolder(tmp_path).records())


def test_a_job_with_augmentation_must_have_its_picture(finished):
    config, path = finished
    folder = JobFolder(path)
    assert FinishedJob(folder).artifacts == (*ARTIFACTS, AUGMENTED)
    assert job_fault(folder, key(config)) == ""
    content = (path / AUGMENTED).read_bytes()
    (path / AUGMENTED).write_bytes(content[:-20])
    assert AUGMENTED in job_fault(folder, key(config))
    (path / AUGMENTED).unlink()
    assert f"{AUGMENTED} is missing" in job_fault(folder, key(config))
    (path / AUGMENTED).write_bytes(content)


def test_a_job_without_augmentation_needs_no_such_picture(world):
    planned = world.finish(configuration(), {})
    folder = JobFolder(planned.folder_in(world.multirun).path)
    assert FinishedJob(folder).artifacts == ARTIFACTS
    assert not (folder.path / AUGMENTED).exists()
    assert job_fault(folder, planned.key) == ""


def test_the_samples_are_what_the_network_sees_first():
    config = job("cutmix")
    splits, augment = build(config)
    samples = augmented_samples(splits, config, augment, 4, torch.device("cpu"))
    assert samples.originals.shape == (COUNT, 1, 28, 28)
    assert samples.augmented.shape == (DRAWS, COUNT, 1, 28, 28)
    assert samples.targets.shape == (1 + DRAWS, COUNT, 4)
    first = seen_batches(config)[0, :COUNT]
    expected = (first * splits.deviation + splits.mean).round().clamp(0, 255)
    np.testing.assert_array_equal(samples.augmented[0], expected.numpy())
    training_images = splits.train.images.numpy()
    assert all((training_images == image).all(axis=(1, 2, 3)).any() for image in samples.originals)
    np.testing.assert_allclose(samples.targets.sum(axis=2), 1, rtol=1e-6)


def test_the_picture_shows_each_image_in_its_place(words):
    originals = np.full((2, 3, 8, 8), 10, np.uint8)
    augmented = np.stack([np.full((2, 3, 8, 8), value, np.uint8) for value in (90, 200)])
    targets = np.eye(3, dtype=np.float32)[[[0, 1], [0, 1], [0, 1]]]
    targets[2, 1] = [0.0, 0.25, 0.75]
    picture = draw_augmented(originals, augmented, targets, ["cat", "dog", "horse"])
    row_height = (picture.height - GAP) // 3
    for row, value in enumerate((10, 90, 200)):
        for column in range(2):
            place = (GAP + column * (TILE_SIZE + GAP) + 32, GAP + row * row_height + 20 + 32)
            assert picture.getpixel(place) == (value,) * 3
    assert words == [
        *("original images", "cat", "dog", "augmented in epoch 1", "cat", "dog"),
        *("augmented again", "cat", "75% horse", "25% dog"),
    ]


def test_the_picture_can_be_opened(finished):
    with Image.open(finished[1] / AUGMENTED) as picture:
        picture.load()
        assert picture.width == COUNT * (TILE_SIZE + GAP) + GAP
