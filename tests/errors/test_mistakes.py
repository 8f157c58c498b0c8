import numpy as np
import pytest

from src.errors.mistakes import confusion_differences, disagreement, images_of_one_cell


def test_one_cell_alone_is_wrong_where_all_others_are_right():
    wrong = np.array([[1, 1, 0, 0, 1], [0, 1, 0, 1, 0], [0, 1, 0, 0, 0]], dtype=bool)
    assert [found.tolist() for found in images_of_one_cell(wrong, ~wrong)] == [[0, 4], [3], []]
    assert [found.tolist() for found in images_of_one_cell(~wrong, wrong)] == [[], [], []]
    right = ~wrong
    right[2, 4] = False  # the third cell is of two minds about image 4, so the first is not alone
    assert images_of_one_cell(wrong, right)[0].tolist() == [0]


def test_a_single_cell_is_not_alone_among_others():
    (found,) = images_of_one_cell(np.ones((1, 5), dtype=bool), np.zeros((1, 5), dtype=bool))
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
    assert (first.times_more, first.times_less) == (14.5, 2.0)
    assert (second.label, second.predicted, second.more, second.less) == (0, 1, "bn", "ln")
