import numpy as np

from src.errors.atlas import images_of_one_cell
from src.errors.seed_table import confusion_differences


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


def test_confusions_that_differ_are_found_with_who_makes_them_more_often():
    class_pairs = np.array([[0, 1], [2, 3], [3, 0]])
    means = np.array([[4.0, 2.0, 7.0], [1.0, 14.5, 7.0], [0.0, 3.0, 7.0]])  # the last confusion is the same everywhere
    first, second = confusion_differences(["bn", "gn", "ln"], class_pairs, means)
    assert (first.label, first.predicted, first.more, first.less) == (2, 3, "gn", "bn")
    assert (first.times_more, first.times_less) == (14.5, 2.0)
    assert (second.label, second.predicted, second.more, second.less) == (0, 1, "bn", "ln")
