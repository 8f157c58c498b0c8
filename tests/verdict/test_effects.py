import numpy as np
import pytest
from scipy import stats

from src.verdict.effects import factor_effects
from tests.verdict.made_up import results_of

# Images wrong of 100, by norm and l1, one a seed.
WRONG = {
    ("bn", 0.0): (5, 7, 6),
    ("bn", 1e-5): (6, 8, 9),
    ("gn", 0.0): (10, 13, 12),
    ("gn", 1e-5): (20, 22, 25),
}


def effects_of(wrong, varies=("norm.name", "reg.l1")):
    cells = [(norm, l1, None, counts, 0.9) for (norm, l1), counts in wrong.items()]
    return factor_effects(results_of(*cells, varies=varies))


def accuracy(norm, l1):
    return 1 - np.array(WRONG[norm, l1]) / 100


def test_a_main_effect_is_the_difference_of_marginal_means_paired_by_seed():
    effects = {effect.factor: effect for effect in effects_of(WRONG)}
    norm = effects["norm"]
    first = (accuracy("gn", 0.0) + accuracy("gn", 1e-5)) / 2
    second = (accuracy("bn", 0.0) + accuracy("bn", 1e-5)) / 2
    expected = stats.ttest_rel(first, second)
    assert (norm.level, norm.against, norm.n, norm.settings) == ("gn", "bn", 3, 2)
    assert norm.difference == pytest.approx(np.mean(first - second))
    assert norm.p == pytest.approx(expected.pvalue)
    assert (norm.low, norm.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert (effects["l1"].level, effects["l1"].against) == ("1e-05", "0")
    assert norm.words.startswith("norm gn is worse than bn by 10.17 points [")


def test_an_interaction_is_the_difference_of_differences():
    (found,) = [effect for effect in effects_of(WRONG) if effect.interaction]
    each = accuracy("gn", 1e-5) - accuracy("bn", 1e-5) - accuracy("gn", 0.0) + accuracy("bn", 0.0)
    assert found.factor == "norm x l1"
    assert found.difference == pytest.approx(each.mean())
    assert found.p == pytest.approx(stats.ttest_1samp(each, 0).pvalue)


def test_only_the_balanced_part_of_the_grid_counts():
    lacking = {cell: counts for cell, counts in WRONG.items() if cell != ("gn", 1e-5)}
    effects = {effect.factor: effect for effect in effects_of(lacking)}
    assert effects.keys() == {"norm", "l1"}
    assert effects["norm"].difference == pytest.approx(np.mean(accuracy("gn", 0.0) - accuracy("bn", 0.0)))
    assert effects["norm"].settings == effects["l1"].settings == 1


def test_only_seeds_that_all_its_cells_have_count():
    effects = effects_of(WRONG | {("gn", 1e-5): (20, 22)})
    assert {effect.n for effect in effects} == {2}


def test_an_effect_of_one_seed_has_no_interval():
    effects = effects_of({cell: counts[:1] for cell, counts in WRONG.items()})
    assert all((effect.low, effect.high, effect.p_holm) == (None, None, None) for effect in effects)
    assert all("one common seed gives no interval" in effect.words for effect in effects)


def test_a_single_factor_has_no_effects():
    assert effects_of({cell: WRONG[cell] for cell in WRONG if cell[1] == 0}, ["norm.name"]) == ()


def test_an_effect_that_is_the_same_in_all_seeds_has_finite_numbers():
    same = dict.fromkeys(WRONG, (5, 5, 5))
    for effect in effects_of(same):
        assert effect.low < 0 < effect.high
        assert "0 points in each of 3 seeds" in effect.words


@pytest.mark.parametrize("none_first", [True, False])
def test_a_cell_that_does_not_read_a_key_is_not_a_level_of_it(none_first):
    def cells(norm, groups=None):
        for l1, counts in ((0.0, (5, 7, 6)), (1e-5, (6, 9, 9))):
            yield norm, l1, groups, [count + (groups or 0) for count in counts], 0.9

    parts = [list(cells("none")), [*cells("gn", 2), *cells("gn", 4)]]
    order = parts if none_first else parts[::-1]
    varies = ("norm.name", "norm.groups", "reg.l1")
    effects = factor_effects(results_of(*order[0], *order[1], varies=varies))
    (groups,) = [effect for effect in effects if effect.factor == "groups"]
    assert (groups.level, groups.against, groups.settings) == ("4", "2", 2)
    assert groups.difference == pytest.approx(-0.02)
    assert not any("null" in (effect.level, effect.against) for effect in effects)
