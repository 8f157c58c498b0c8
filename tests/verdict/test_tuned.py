import pytest

from src.bad_input import BadInput
from src.results.results import load_results
from src.verdict.best import find_best
from src.verdict.tuned import tune_values, tuned_levels
from src.verdict.verdicts import judge
from tests.verdict.made_up import accuracies_of


@pytest.fixture
def found(world):
    """`found("norm", {("bn", 0.0): (0.9, (1, 2))})`: a cell's validation accuracy, and its errors by seed."""

    def tune(key, cells, groups=None):
        jobs = []
        for (norm, l1), (validation, errors) in cells.items():
            for seed, count in enumerate(errors):
                config = world.configuration(norm, seed, l1)
                if norm == "gn" and groups:
                    config.norm.groups = groups[l1]
                jobs.append(world.finish(config, dict.fromkeys(range(count), 0.9), val=validation))
        results = load_results([world.sweep(jobs)], world.multirun)
        verdicts = judge([], results, {})
        return tune_values(results, key, verdicts), verdicts

    return tune


GRID = {
    ("bn", 0.0): (0.95, (9, 8, 9)),
    ("bn", 1e-5): (0.90, (1, 2, 2)),
    ("gn", 0.0): (0.80, (3, 3, 4)),
    ("gn", 1e-5): (0.85, (7, 6, 8)),
}


def test_cells_are_chosen_by_validation_and_reported_on_test(found):
    result, verdicts = found("norm", GRID)
    assert [(row.level, row.cell, row.settings) for row in result.levels] == [
        ("bn", "bn l1=0", 2),
        ("gn", "gn l1=1e-05", 2),
    ]
    assert [row.test for row in result.levels] == pytest.approx([1 - 0.26 / 3, 0.93])
    (best,) = verdicts.best
    assert [row.behind for row in result.levels] == [best.behind["bn l1=0"], best.behind["gn l1=1e-05"]]
    assert result.lines[1].startswith("gn: gn l1=1e-05, test 93.00 %, at most ")
    assert result.lines[1].endswith(" (validation 85.00 %, the highest of 2 cells)")


@pytest.mark.parametrize("key", ["l1", "reg.l1"])
def test_any_varying_key_can_be_tuned(found, key):
    assert [row.cell for row in found(key, GRID)[0].levels] == ["bn l1=0", "bn l1=1e-05"]


def test_the_sentence_names_the_values_of_the_cells_that_may_be_the_best(found):
    cells = {("bn", 0.0): (0.9, (1, 2, 1)), ("gn", 0.0): (0.9, (2, 1, 2)), ("ln", 0.0): (0.9, (60, 61, 60))}
    result, verdicts = found("norm", cells)
    assert verdicts.best[0].candidates == ("bn", "gn")
    assert result.sentences == ("The best cell may have norm=bn or norm=gn.",)
    assert [row.may_be_best for row in result.levels] == [True, True, False]


def test_one_best_value_is_named(found):
    cells = {
        (norm, l1): (0.9, (count, count + 1, count)) for norm, count in (("bn", 1), ("gn", 40)) for l1 in (0.0, 1e-5)
    }
    assert found("norm", cells)[0].sentences == ("The best cell has norm=bn.",)


def test_a_best_cell_may_lack_the_key(found):
    cells = {("bn", 0.0): (0.9, (1, 2, 1)), ("gn", 0.0): (0.9, (2, 1, 2)), ("gn", 1e-5): (0.9, (60, 61, 60))}
    result, _ = found("groups", cells, groups={0.0: 4, 1e-5: 2})
    assert [(row.level, row.settings) for row in result.levels] == [("2", 1), ("4", 1)]
    assert result.sentences == ("The best cell may have groups=4 or no groups.",)


def test_a_cell_with_one_seed_is_not_chosen_among_cells_with_several(found):
    cells = {
        ("bn", 0.0): (0.8, (1, 2)),
        ("bn", 1e-5): (0.9, (1,)),
        ("gn", 0.0): (0.8, (2, 1)),
        ("ln", 0.0): (0.9, (0,)),
    }
    result, _ = found("norm", cells)
    assert [row.cell for row in result.levels] == ["bn l1=0", "gn l1=0"]


def test_one_seed_says_that_it_compares_networks_only(found):
    result, _ = found("norm", {cell: (validation, errors[:1]) for cell, (validation, errors) in GRID.items()})
    assert [row.cell for row in result.levels] == ["bn l1=0", "gn l1=1e-05"]
    (sentence,) = result.sentences
    assert "only these trained networks" in sentence
    assert not [line for line in result.lines if "behind" in line]


def test_a_key_that_does_not_vary_is_refused(found):
    with pytest.raises(BadInput, match="does not vary"):
        found("lr", GRID)


def test_levels_are_tuned_by_validation_and_keep_the_limits_of_their_cells():
    values = {(norm, l1): [0.9, 0.91, 0.92] for norm in ("bn", "gn") for l1 in (0.0, 1e-5)}
    values["gn", 1e-5] = [0.7, 0.72, 0.71]
    values["gn", 0.0] = [0.8, 0.81, 0.82]
    validation = [[0.9] * 3, [0.95] * 3, [0.6] * 3, [0.7] * 3]
    table = accuracies_of(values, validation=validation)
    best = find_best(table, 0.05, 0.001)
    by_level = {norm: [f"{norm} 0.0", f"{norm} 1e-05"] for norm in ("bn", "gn")}
    bn, gn = tuned_levels(best, by_level, table)
    assert (bn.cell, bn.settings, bn.test) == ("bn 1e-05", 2, pytest.approx(0.91))
    assert (gn.cell, gn.settings, gn.validation) == ("gn 1e-05", 2, pytest.approx(0.7))
    assert (bn.may_be_best, gn.may_be_best) == (True, False)
    assert gn.behind == best.behind["gn 1e-05"] > 0.1
