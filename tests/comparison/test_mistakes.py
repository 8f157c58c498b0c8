import numpy as np
import pandas as pd
import pytest

from src.comparison.mistakes import (
    by_one_alone,
    confusion,
    confusion_differences,
    disagreement,
    per_class,
    worst_mistakes,
)
from src.runs.predictions import Predictions


@pytest.fixture
def random():
    """1,000 predictions of 5 classes, a third of them wrong."""
    source = np.random.default_rng(3)
    probabilities = source.dirichlet(np.ones(5), size=1000).astype(np.float32)
    predicted = probabilities.argmax(axis=1)
    return Predictions(np.where(source.random(1000) < 0.67, predicted, (predicted + 1) % 5), predicted, probabilities)


def test_worst_mistakes_are_those_that_a_plain_sort_finds(random):
    rows = [(-random.probabilities[k].max(), k) for k in range(1000) if random.predicted[k] != random.label[k]]
    assert worst_mistakes(random, 25).tolist() == [index for _, index in sorted(rows)[:25]]
    assert worst_mistakes(random, 2000).tolist() == [index for _, index in sorted(rows)]


def test_equal_confidence_is_ordered_by_index(world):
    predictions = world.predict(np.arange(20) % 4, {9: 0.7, 3: 0.7, 15: 0.8, 4: 0.7}, 4)
    assert worst_mistakes(predictions, 3).tolist() == [15, 3, 4]


def test_no_mistakes_are_none(world):
    perfect = world.predict(np.arange(20) % 4, {}, 4)
    assert worst_mistakes(perfect, 25).tolist() == []
    assert worst_mistakes(perfect, 25).dtype == np.int64


def test_confusion_is_pandas_crosstab(random):
    expected = pd.crosstab(random.label, random.predicted).to_numpy()
    np.testing.assert_array_equal(confusion(random, 5), expected)


def test_confusion_has_rows_for_classes_that_never_occur(random):
    assert confusion(random, 7).shape == (7, 7)
    assert confusion(random, 7)[5:].sum() == 0


def test_confusion_of_labels_in_bytes_does_not_overflow():
    label = np.full(300, 99, dtype=np.uint8)
    predictions = Predictions(label, label, np.zeros((300, 100), dtype=np.float32))  # type: ignore[arg-type]
    assert confusion(predictions, 100)[99, 99] == 300


def test_per_class_counts_as_pandas_does(random):
    frame = pd.DataFrame({"label": random.label, "predicted": random.predicted})
    rows = per_class(random, "abcde")
    for position, row in enumerate(rows):
        mine = frame[frame.label == position]
        wrong = mine[mine.predicted != position]
        assert row["class"] == "abcde"[position]
        assert (row["images"], row["errors"]) == (len(mine), len(wrong))
        assert row["accuracy"] == pytest.approx((mine.predicted == position).mean())
        assert row["times"] == wrong.predicted.value_counts().max()
        assert row["mostly taken for"] == "abcde"[wrong.predicted.value_counts().idxmax()]


def test_a_class_without_images_or_errors_says_none(world):
    rows = per_class(world.predict(np.array([0, 0, 1]), {2: 0.9}, 3), ["a", "b", "c"])
    assert rows[0] == {"class": "a", "images": 2, "errors": 0, "accuracy": 1.0, "mostly taken for": None, "times": 0}
    assert rows[1]["mostly taken for"] == "c"
    assert rows[2]["accuracy"] is None


def test_one_cell_alone_is_wrong_where_all_others_are_right():
    wrong = np.array([[1, 1, 0, 0, 1], [0, 1, 0, 1, 0], [0, 1, 0, 0, 0]], dtype=bool)
    assert [found.tolist() for found in by_one_alone(wrong, ~wrong)] == [[0, 4], [3], []]
    assert [found.tolist() for found in by_one_alone(~wrong, wrong)] == [[], [], []]
    right = ~wrong
    right[2, 4] = False  # the third cell is of two minds about image 4, so the first is not alone
    assert by_one_alone(wrong, right)[0].tolist() == [0]


def test_a_single_cell_is_not_alone_among_others():
    (found,) = by_one_alone(np.ones((1, 5), dtype=bool), np.zeros((1, 5), dtype=bool))
    assert found.tolist() == []


@pytest.mark.parametrize("images", [40, 700])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 3, 1), (4,)])
def test_disagreement_is_the_mean_over_pairs_of_runs(sizes, images):
    source = np.random.default_rng(7)
    cells = [[source.integers(0, 3, images).astype(np.int16) for _ in range(size)] for size in sizes]
    for runs in cells:
        for run in runs:
            run[: images // 2] = 1  # where all agree
    found = disagreement(cells, 3)
    for a, first in enumerate(cells):
        for b, second in enumerate(cells):
            pairs = [(x != y).mean() for i, x in enumerate(first) for j, y in enumerate(second) if a != b or i != j]
            if pairs:
                assert found[a, b] == pytest.approx(np.mean(pairs), abs=1e-12)
            else:
                assert np.isnan(found[a, b])


def test_runs_that_never_differ_disagree_on_nothing():
    same = np.arange(10, dtype=np.int16) % 3
    assert disagreement([[same], [same]], 3)[0, 1] == 0


def test_confusions_that_differ_are_found_with_who_makes_them_more_often():
    counts = np.zeros((3, 4, 4))
    counts[:, 1, 1] = [9, 0, 5]  # the diagonal is no confusion
    counts[:, 2, 3] = [2.0, 14.5, 3.0]
    counts[:, 3, 0] = [7.0, 7.0, 7.0]  # all alike
    counts[:, 0, 1] = [4.0, 1.0, 0.0]
    first, second = confusion_differences(["bn", "gn", "ln"], counts)
    assert (first.label, first.predicted, first.more, first.less) == (2, 3, "gn", "bn")
    assert (first.times_more, first.times_less, first.difference) == (14.5, 2.0, 12.5)
    assert (second.label, second.predicted, second.more, second.less) == (0, 1, "bn", "ln")
