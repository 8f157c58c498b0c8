from itertools import combinations

import numpy as np
import pytest

from src.verdict.letters import MAX_CELLS, letters


def shared(found, one, other):
    return bool(set(found[one]) & set(found[other]))


def test_a_cell_between_two_that_differ_has_both_letters():
    # The example of R's multcompView::multcompLetters: of A, B and C only B and C differ: A "ab", B "a", C "b".
    assert letters(3, [(1, 2)]) == ["ab", "a", "b"]


def test_cells_that_all_differ_have_a_letter_each():
    assert letters(4, combinations(range(4), 2)) == ["a", "b", "c", "d"]


def test_cells_without_any_difference_share_one_letter():
    assert letters(5, []) == ["a"] * 5


def test_columns_that_lie_in_others_are_absorbed():
    # Best to worst, neighbours alike: the display of every textbook.
    assert letters(5, [(0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 4)]) == ["a", "ab", "bc", "cd", "d"]


@pytest.mark.parametrize("seed", range(40))
def test_two_cells_share_a_letter_exactly_if_they_do_not_differ(seed):
    generator = np.random.default_rng(seed)
    cells = int(generator.integers(2, 9))
    every = list(combinations(range(cells), 2))
    decided = {pair for pair in every if generator.random() < 0.5}
    found = letters(cells, decided)
    assert {pair for pair in every if not shared(found, *pair)} == decided
    assert all(found)


def test_the_order_of_the_pairs_does_not_matter():
    decided = [(0, 2), (1, 3), (0, 4), (2, 4)]
    assert letters(5, decided) == letters(5, decided[::-1])


def test_too_many_cells_have_no_letters():
    assert letters(MAX_CELLS + 1, []) is None
    assert letters(3, [(0, 1), (0, 2), (1, 2)], names="ab") is None
