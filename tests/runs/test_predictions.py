import tracemalloc
import zipfile
import zlib

import numpy as np
import pandas as pd
import pytest

from src.runs.predictions import (
    Predictions,
    confusion_counts,
    load_predictions,
    per_class_rows,
    save_predictions,
    worst_mistakes,
)
from src.storage.stored import DamagedFile


def test_predictions_are_read_as_written(tmp_path):
    probabilities = np.random.default_rng(0).dirichlet(np.ones(5), size=7).astype(np.float32)
    kept = Predictions(np.arange(7) % 5, probabilities.argmax(axis=1), probabilities)
    save_predictions(tmp_path / "predictions.npz", kept)
    found = load_predictions(tmp_path / "predictions.npz")
    for name in ("label", "predicted", "probabilities"):
        stored, loaded = getattr(kept, name), getattr(found, name)
        assert np.array_equal(stored, loaded)
        assert stored.dtype == loaded.dtype
    assert len(found) == 7


def test_the_file_holds_an_index_and_opens_without_pickle(tmp_path):
    kept = Predictions(np.zeros(3, np.int64), np.zeros(3, np.int64), np.ones((3, 1), np.float32))
    save_predictions(tmp_path / "predictions.npz", kept)
    with np.load(tmp_path / "predictions.npz", allow_pickle=False) as stored:
        assert set(stored) == {"index", "label", "predicted", "probabilities"}
        assert stored["index"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_without_compression_and_in_fortran_order_are_read(random, tmp_path, save):
    arrays = vars(random) | {"probabilities": np.asfortranarray(random.probabilities)}
    save(tmp_path / "predictions.npz", **arrays)
    found = load_predictions(tmp_path / "predictions.npz", (1000, 5))
    assert all(np.array_equal(getattr(found, name), array) for name, array in arrays.items())


@pytest.fixture(params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def archive(random, tmp_path, request):
    """The path of a file, the entry of its probabilities in the directory, and a function that replaces their bytes."""
    path, name = tmp_path / "predictions.npz", "probabilities.npy"
    with zipfile.ZipFile(path, "w", request.param) as made:
        for array in ("label", "predicted", "probabilities"):
            with made.open(f"{array}.npy", "w") as file:
                np.save(file, getattr(random, array))
    load_predictions(path, (1000, 5))
    with zipfile.ZipFile(path) as made:
        member = made.getinfo(name)
    content = bytearray(path.read_bytes())
    start = content.index(name.encode()) + len(name) + content[member.header_offset + 28]

    def replace(change):
        packed = bytes(content[start : start + member.compress_size])
        content[start : start + member.compress_size] = change(packed).ljust(len(packed))
        path.write_bytes(content)

    return path, member, replace


@pytest.mark.parametrize(
    "harm",
    [lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], lambda data: data[:5000], lambda _: b""],
    ids=["a bit flipped", "cut off", "empty"],
)
def test_an_array_with_another_checksum_is_refused(archive, harm):
    path, _, replace = archive
    replace(harm)
    with pytest.raises(DamagedFile):
        load_predictions(path, (1000, 5))


@pytest.mark.parametrize("archive", [zipfile.ZIP_DEFLATED], indirect=True)
def test_an_array_that_unpacks_to_more_than_it_claims_takes_no_memory(archive):
    path, member, replace = archive
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)

    def bomb(data):
        header = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, 128)
        return packer.compress(header + bytes(10_000_000)) + packer.flush()

    replace(bomb)
    tracemalloc.start()
    with pytest.raises(DamagedFile):
        load_predictions(path, (1000, 5))
    assert tracemalloc.get_traced_memory()[1] < 20 * member.file_size
    tracemalloc.stop()


def test_wrong_and_confidence_use_the_predicted_class():
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]], np.float32)
    found = Predictions(np.array([0, 1, 1]), probabilities.argmax(axis=1), probabilities)
    assert found.wrong.tolist() == [False, True, False]
    assert found.confidence.tolist() == probabilities.max(axis=1).tolist()


@pytest.fixture
def random():
    """1,000 predictions of 5 classes, one third of them wrong."""
    source = np.random.default_rng(3)
    probabilities = source.dirichlet(np.ones(5), size=1000).astype(np.float32)
    predicted = probabilities.argmax(axis=1)
    return Predictions(np.where(source.random(1000) < 0.67, predicted, (predicted + 1) % 5), predicted, probabilities)


def test_worst_mistakes_equals_a_plain_sort(random):
    rows = [(-random.probabilities[k].max(), k) for k in range(1000) if random.predicted[k] != random.label[k]]
    assert worst_mistakes(random, 25).tolist() == [index for _, index in sorted(rows)[:25]]
    assert worst_mistakes(random, 2000).tolist() == [index for _, index in sorted(rows)]


def test_ties_in_confidence_are_ordered_by_index(world):
    predictions = world.predict(np.arange(20) % 4, {9: 0.7, 3: 0.7, 15: 0.8, 4: 0.7}, 4)
    assert worst_mistakes(predictions, 3).tolist() == [15, 3, 4]


def test_worst_mistakes_of_a_perfect_network_are_empty(world):
    perfect = world.predict(np.arange(20) % 4, {}, 4)
    assert worst_mistakes(perfect, 25).tolist() == []
    assert worst_mistakes(perfect, 25).dtype == np.int64


def test_confusion_equals_pandas_crosstab(random):
    expected = pd.crosstab(random.label, random.predicted).to_numpy()
    np.testing.assert_array_equal(confusion_counts(random.label, random.predicted, 5), expected)


def test_confusion_has_rows_for_classes_that_never_occur(random):
    assert confusion_counts(random.label, random.predicted, 7).shape == (7, 7)
    assert confusion_counts(random.label, random.predicted, 7)[5:].sum() == 0


def test_confusion_of_labels_in_bytes_does_not_overflow():
    label = np.full(300, 99, dtype=np.uint8)
    assert confusion_counts(label, label, 100)[99, 99] == 300


def test_per_class_equals_pandas(random):
    frame = pd.DataFrame({"label": random.label, "predicted": random.predicted})
    rows = per_class_rows(random, "abcde")
    for position, row in enumerate(rows):
        mine = frame[frame.label == position]
        wrong = mine[mine.predicted != position]
        assert row["class"] == "abcde"[position]
        assert (row["images"], row["errors"]) == (len(mine), len(wrong))
        assert row["accuracy"] == pytest.approx((mine.predicted == position).mean())
        assert row["times"] == wrong.predicted.value_counts().max()
        assert row["mostly taken for"] == "abcde"[wrong.predicted.value_counts().idxmax()]


def test_a_class_without_images_or_errors_has_none(world):
    rows = per_class_rows(world.predict(np.array([0, 0, 1]), {2: 0.9}, 3), ["a", "b", "c"])
    assert rows[0] == {"class": "a", "images": 2, "errors": 0, "accuracy": 1.0, "mostly taken for": None, "times": 0}
    assert rows[1]["mostly taken for"] == "c"
    assert rows[2]["accuracy"] is None
