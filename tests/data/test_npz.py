"""Datasets in .npz files with MedMNIST's names."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.bad_input import BadInput
from src.data.npz import read_npz
from src.datasets import NPZ
from src.report.facts import collect_facts
from src.results.results import load_results
from src.runs.sweep import PlannedJob
from src.sweep.pace import read_timings
from tests.world import World, configuration

RANDOM = np.random.default_rng(2)


def arrays(shape: tuple[int, ...] = (8, 8), *, validation: bool = True, column: bool = True) -> dict[str, np.ndarray]:
    made = {}
    for split, count in (("train", 9), ("val", 4), ("test", 5)):
        if split != "val" or validation:
            made[f"{split}_images"] = RANDOM.integers(0, 256, (count, *shape), dtype=np.uint8)
            labels = (np.arange(count) % 3).astype(np.uint8)
            made[f"{split}_labels"] = labels[:, None] if column else labels
    return made


def saved(path: Path, content: dict[str, np.ndarray], *, compressed: bool = False) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as refused:
        read_npz(path)
    assert str(path) in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 3
    return str(refused.value)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 3)])
def test_images_and_labels_are_those_of_the_arrays(shape, validation, column, compressed, tmp_path):
    content = arrays(shape, validation=validation, column=column)
    images = read_npz(saved(tmp_path / "set.npz", content, compressed=compressed))
    splits = {"train": (images.train_images, images.train_labels), "test": (images.test_images, images.test_labels)}
    splits |= {"val": images.validation} if images.validation else {}
    assert (images.source.channels, images.source.size) == (shape[2] if len(shape) == 3 else 1, 8)
    assert (images.source.train, images.source.validation, images.source.test) == (9, 4 * validation, 5)
    assert images.source.classes == ("0", "1", "2")
    for split, (pixels, labels) in splits.items():
        original = content[f"{split}_images"]
        assert np.array_equal(pixels.transpose(0, 2, 3, 1).reshape(original.shape), original)
        assert labels.tolist() == content[f"{split}_labels"].ravel().tolist()


@pytest.mark.parametrize("name", ["train_images", "val_images", "test_labels", "val_labels"])
def test_every_array_changes_the_digest(name, tmp_path):
    content = arrays()
    first = read_npz(saved(tmp_path / "a.npz", content)).source.digest
    assert read_npz(saved(tmp_path / "b.npz", content, compressed=True)).source.digest == first
    content[name].flat[0] ^= 1
    assert read_npz(saved(tmp_path / "c.npz", content)).source.digest != first


BYTES = np.zeros((9, 8, 8), dtype=np.uint8)
WRONG: dict[str, tuple[dict[str, object], str]] = {
    "Keras's names": ({"train_images": None, "x_train": BYTES}, "lacks train_images; it contains "),
    "half a validation split": ({"val_labels": None}, "lacks val_labels"),
    "floats": ({"train_images": BYTES / 255}, "train_images has the shape (9, 8, 8) and the type float64"),
    "16 bits": ({"train_images": BYTES.astype(np.uint16)}, "the type uint16"),
    "volumes": ({"train_images": np.zeros((9, 8, 8, 8), np.uint8)}, "the shape (9, 8, 8, 8)"),
    "flat images": ({"train_images": np.zeros((9, 64), np.uint8)}, "the shape (9, 64)"),
    "another size": (
        {"test_images": np.zeros((5, 9, 9), np.uint8)},
        "training images of (1, 8, 8), test images of (1, 9, 9)",
    ),
    "not square": (
        {
            name: np.zeros((n, 8, 9), np.uint8)
            for name, n in (("train_images", 9), ("val_images", 4), ("test_images", 5))
        },
        "(1, 8, 9)",
    ),
    "several labels": ({"train_labels": np.zeros((9, 14), np.uint8)}, "normlab trains on one label per image"),
    "labels as floats": ({"train_labels": np.zeros(9)}, "train_labels has the shape (9,) and the type float64"),
    "a negative label": ({"train_labels": np.arange(9) - 1}, "train_labels contains -1"),
    "a huge label": ({"train_labels": np.arange(9) * 10**9}, "train_labels contains 8000000000"),
    "an unknown class": ({"test_labels": np.arange(5)}, "has a test label 4"),
    "one class": ({"train_labels": np.full(9, 2)}, "all training images have the label 2"),
    "too few labels": ({"train_labels": np.arange(8) % 3}, "has 9 training images and 8 labels"),
    "no test images": (
        {"test_images": np.zeros((0, 8, 8), np.uint8), "test_labels": np.zeros(0, np.uint8)},
        "has 0 test images",
    ),
    "pickled objects": ({"train_labels": np.array([{}] * 9, dtype=object)}, "holds Python objects"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_arrays_that_cannot_be_used_are_refused(change, message, tmp_path):
    content = {name: array for name, array in {**arrays(), **change}.items() if array is not None}
    assert message in refusal(saved(tmp_path / "set.npz", content))


@pytest.mark.parametrize("damage", ["cut", "flipped", "flipped and packed", "text", "empty", "header"])
def test_a_damaged_file_is_refused(damage, tmp_path):
    path = saved(tmp_path / "set.npz", arrays(), compressed=damage == "flipped and packed")
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[content.index(b"train_images.npy") + 300] ^= 1
    contents = {"cut": content[:-200], "text": b"<html>", "empty": b"", "header": b""}
    path.write_bytes(contents.get(damage, bytes(flipped)))
    if damage == "header":  # claims 2**40 images
        with zipfile.ZipFile(path, "w") as archive:
            huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (2**40, 8, 8), (0, 0, 0))
            with archive.open("train_images.npy", "w") as file:
                np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(huge))
    assert "is damaged, or not an .npz file" in refusal(path)


def test_a_job_on_the_datasets_own_validation_images_can_be_timed_compared_and_described(world, tmp_path):
    data = NPZ("npz", 8, None, 0, root=str(saved(tmp_path / "set.npz", arrays())))
    config = configuration(data=data)
    job = world.finish(config, {})
    results = load_results([world.sweep([job])], world.multirun)
    assert results.unfinished == ()
    (described,) = collect_facts([world.sweep([job])], results).data
    assert "9 images for training, 4 for validation, 5 for testing, grey, 8 x 8 pixels, 3 classes" in described[1]
    (timing,) = read_timings(world.multirun / "jobs", [job.folder])
    train_seconds = sum(record["metrics"]["time/train_seconds"] for record in job_epochs(world, job))
    assert timing.rate == pytest.approx(train_seconds / (9 * config.epochs))


def job_epochs(world: World, job: PlannedJob) -> list[dict[str, Any]]:
    return [record for record in job.folder_in(world.multirun).records() if record["kind"] == "epoch"]


def test_a_folder_or_a_missing_file_is_refused_with_the_files_nearby(tmp_path):
    saved(tmp_path / "set.npz", arrays())
    assert refusal(tmp_path).endswith(f"write: data.root={tmp_path}/set.npz")
    assert "is not a file" in refusal(tmp_path / "other.npz")


def test_arrays_that_do_not_fit_into_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = saved(tmp_path / "set.npz", arrays())
    monkeypatch.setattr("src.data.memory.usable_memory", lambda: 1000.0)
    assert "this machine has 0.0 GB" in refusal(path)
