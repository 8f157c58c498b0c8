import numpy as np
import pandas as pd
import pytest

from src.runs.predictions import (
    Predictions,
    class_accuracies,
    confusion_counts,
    load_predictions,
    save_predictions,
    worst_mistakes,
)


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
    rows = class_accuracies(random, "abcde")
    for position, row in enumerate(rows):
        mine = frame[frame.label == position]
        wrong = mine[mine.predicted != position]
        assert row["class"] == "abcde"[position]
        assert (row["images"], row["errors"]) == (len(mine), len(wrong))
        assert row["accuracy"] == pytest.approx((mine.predicted == position).mean())
        assert row["times"] == wrong.predicted.value_counts().max()
        assert row["mostly taken for"] == "abcde"[wrong.predicted.value_counts().idxmax()]


def test_a_class_without_images_or_errors_has_none(world):
    rows = class_accuracies(world.predict(np.array([0, 0, 1]), {2: 0.9}, 3), ["a", "b", "c"])
    assert rows[0] == {"class": "a", "images": 2, "errors": 0, "accuracy": 1.0, "mostly taken for": None, "times": 0}
    assert rows[1]["mostly taken for"] == "c"
    assert rows[2]["accuracy"] is None
