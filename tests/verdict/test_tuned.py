import pytest

from src.bad_input import BadInput
from src.results.results import JobProblem
from src.verdict.tuned import tuned
from tests.verdict.made_up import results_of


def of_cells(cells, unfinished=()):
    """(norm, l1, validation accuracy, images wrong on test by seed)."""
    return results_of(*((norm, l1, None, wrong, val) for norm, l1, val, wrong in cells), unfinished=unfinished)


@pytest.fixture
def results():
    return of_cells(
        [
            ("bn", 0.0, 0.95, (9, 8)),
            ("bn", 1e-5, 0.90, (1, 2)),
            ("gn", 0.0, 0.80, (3, 3)),
            ("gn", 1e-5, 0.85, (7, 6)),
        ],
    )


def test_cells_are_chosen_by_validation_and_reported_on_test(results):
    found = tuned(results, "norm")
    assert [(row.level, row.cell) for row in found.rows] == [("bn", "bn l1=0"), ("gn", "gn l1=1e-05")]
    assert [row.test.mean for row in found.rows] == pytest.approx([0.915, 0.935])
    assert [(pair.first, pair.second, pair.n) for pair in found.pairs] == [("bn l1=0", "gn l1=1e-05", 2)]


def test_equal_budgets_are_reported(results):
    assert "Every value of norm has the same budget (2 settings, 4 runs)." in tuned(results, "norm.name").sentences


def test_unequal_budgets_are_reported():
    cells = [("bn", 0.0, 0.9, (1, 1)), ("bn", 1e-5, 0.9, (1, 1)), ("gn", 0.0, 0.9, (1, 1))]
    (said,) = [line for line in tuned(of_cells(cells), "norm").sentences if "budgets" in line]
    assert said.endswith("bn (2 settings, 4 runs) and gn (1 setting, 2 runs).")


def test_budgets_that_differ_by_unfinished_runs_are_not_called_unequal():
    cells = [("bn", 0.0, 0.9, (1, 1)), ("gn", 0.0, 0.9, (1,))]
    results = of_cells(cells, unfinished=(JobProblem("gn s1", "FAILED"),))
    said = tuned(results, "norm").sentences[1]
    assert "budgets" not in said
    assert said.endswith("bn (1 setting, 2 runs) and gn (1 setting, 1 run).")


def test_ties_in_validation_accuracy_are_reported():
    cells = [("bn", 0.0, 0.9, (1, 1)), ("bn", 1e-5, 0.9, (2, 2)), ("gn", 0.0, 0.9, (1, 1)), ("gn", 1e-5, 0.8, (1, 1))]
    found = tuned(of_cells(cells), "norm")
    said = [sentence for sentence in found.sentences if "the first one is chosen" in sentence]
    assert said == ["bn l1=0 and bn l1=1e-05 have the same mean validation accuracy; the first one is chosen."]


def test_any_varying_key_can_be_tuned(results):
    assert [row.cell for row in tuned(results, "l1").rows] == ["bn l1=0", "bn l1=1e-05"]


def test_a_key_that_does_not_vary_is_refused(results):
    with pytest.raises(BadInput, match="does not vary"):
        tuned(results, "lr")
