import numpy as np
import pytest
from scipy import stats

from src.verdict.best import find_best
from src.verdict.methods import Promise, compare_methods
from tests.verdict.made_up import accuracies_of

STEPS = (0.0015, 0.005)  # between the means of made-up cells


def grid_of(seed, cells=5, seeds=6, spread=0.002, lost=0, step=0.0015):
    generator = np.random.default_rng(seed)
    values = 0.9 + step * np.arange(cells)[:, None] + generator.normal(0, spread, (cells, seeds))
    values.ravel()[generator.choice(values.size, lost, replace=False)] = np.nan
    return {(f"m{cell}", 0.0): row for cell, row in enumerate(values)}


def common(first, second):
    both = ~np.isnan(first) & ~np.isnan(second)
    return first[both], second[both]


def beaten_by(grid, level):
    """For each cell, the cells that are better by scipy's one-sided paired t test."""
    tests = {
        (one, other): stats.ttest_rel(*common(grid[one], grid[other]), alternative="greater").pvalue < level
        for one in grid
        for other in grid
        if one != other
    }
    return {cell: [one for one, other in tests if other == cell and tests[one, other]] for cell in grid}


def names(cells):
    return {" ".join(map(str, levels)) for levels in cells}


def not_ruled_out(grid, alpha):
    return names(cell for cell, better in beaten_by(grid, alpha / (len(grid) - 1)).items() if not better)


def better_than_all(grid, alpha):
    better = beaten_by(grid, alpha / 2)
    return names(cell for cell in grid if all(cell in better[other] for other in grid if other != cell))


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("lost", [0, 4])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("seed", range(8))
def test_a_cell_may_be_the_best_if_no_other_is_better_by_a_one_sided_test(seed, step, lost, paired):
    grid = grid_of(seed, lost=lost, step=step)
    best = find_best(accuracies_of(grid), 0.05, 0.001, paired)
    expected = not_ruled_out(grid, 0.05)
    assert set(best.candidates) == (expected if paired else better_than_all(grid, 0.05) or expected)
    assert set(best.cells) == names(grid)


def test_the_made_up_grids_rule_out_some_cells_and_name_some_as_better_than_all():
    """Otherwise the test above would show nothing."""
    grids = [grid_of(seed, step=step) for seed in range(8) for step in STEPS]
    remaining = [len(not_ruled_out(grid, 0.05)) for grid in grids]
    alone = [len(better_than_all(grid, 0.05)) for grid in grids]
    assert (min(remaining), max(remaining), min(alone), max(alone)) == (1, 5, 0, 1)
    assert any(several > single == 1 for several, single in zip(remaining, alone, strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_a_cell_is_behind_by_the_largest_upper_limit_against_a_candidate(seed):
    grid = grid_of(seed)
    best = find_best(accuracies_of(grid), 0.05, 0.001)
    level = 0.05 / 4
    for levels, values in grid.items():
        limits = [
            stats.ttest_rel(grid[other], values, alternative="less").confidence_interval(1 - level).high
            for other in grid
            if other != levels and " ".join(map(str, other)) in best.candidates
        ]
        assert best.behind[" ".join(map(str, levels))] == pytest.approx(max([0.0, *limits]))


def test_a_single_candidate_is_better_than_all_others():
    grid = {("a", 0.0): [0.99, 0.991, 0.99], ("b", 0.0): [0.95, 0.951, 0.95], ("c", 0.0): [0.9, 0.901, 0.9]}
    best = find_best(accuracies_of(grid, validation=[[0.98] * 3, [0.9] * 3, [0.9] * 3]), 0.05, 0.001)
    assert best.decided
    assert best.sentence == "a 0.0 beats both others"
    assert best.choice_sentence.startswith("Choose a 0.0, which beats both others (validation 98.00 %, test 99.03 %)")


def test_candidates_that_are_equal_to_the_best_decide_the_question():
    base = np.array([0.9, 0.901, 0.902, 0.9, 0.901, 0.9])
    other = base + np.array([1, -1, 1, -1, 1, -1]) / 10_000
    grid = {("a", 0.0): base, ("b", 0.0): other, ("c", 0.0): base - 0.1 + np.array([1, 0, 0, 1, 0, 0]) / 1000}
    table = accuracies_of(grid, validation=np.repeat([[0.9], [0.8], [0.7]], 6, axis=1))
    close = find_best(table, 0.05, 0.001)
    assert close.candidates == ("a 0.0", "b 0.0")
    assert close.candidates_equal
    assert close.decided
    assert "all within 0.10 points of the best" in close.sentence
    far = find_best(table, 0.05, 0.0001)
    assert not far.decided
    assert "within" not in far.sentence
    assert close.choice_sentence.startswith("Choose ")
    assert far.choice_sentence.startswith("For now, choose ")


def test_validation_chooses_and_test_is_reported():
    grid = {("a", 0.0): [0.97, 0.97], ("b", 0.0): [0.99, 0.99], ("c", 0.0): [0.98, 0.98]}
    table = accuracies_of(grid, validation=[[0.96, 0.98], [0.90, 0.91], [0.97, 0.97]])
    best = find_best(table, 0.05, 0.001)
    assert best.chosen == ("a 0.0", "c 0.0")
    assert best.choice_sentence.startswith("Validation prefers a 0.0 and c 0.0 equally")
    assert best.validation == pytest.approx(0.97)
    assert best.test == pytest.approx(0.975)
    assert best.cells == ("a 0.0", "c 0.0", "b 0.0")  # the highest validation accuracy first
    assert "(97.00 %; test 97.50 %), but b 0.0 is better" in best.choice_sentence
    open_best = find_best(table, 1e-6, 0.001)
    assert open_best.choice_sentence.startswith("For now, choose a 0.0 or c 0.0: equal and best validation accuracy")


def test_validation_is_not_followed_silently_to_a_cell_that_is_worse_in_the_test():
    grid = {("a", 0.0): [0.97, 0.971, 0.97], ("b", 0.0): [0.99, 0.991, 0.99], ("c", 0.0): [0.99, 0.99, 0.991]}
    validation = [[0.99] * 3, [0.9] * 3, [0.9] * 3]
    several = find_best(accuracies_of(grid, validation=validation), 0.05, 0.001)
    assert several.choice_sentence.startswith("Validation prefers a 0.0 (99.00 %; test 97.03 %), but other cells are")
    two = {levels: grid[levels] for levels in [("a", 0.0), ("b", 0.0)]}
    alone = find_best(accuracies_of(two, validation=validation[:2]), 0.05, 0.001)
    assert alone.choice_sentence.endswith("but b 0.0 is better in the test")


def test_a_cell_with_fewer_seeds_is_not_chosen():
    grid = {("a", 0.0): [0.97, np.nan, 0.97], ("b", 0.0): [0.95, 0.95, 0.96]}
    table = accuracies_of(grid, validation=[[0.99, np.nan, 0.99], [0.9, 0.9, 0.9]])
    assert find_best(table, 0.05, 0.001).chosen == ("b 0.0",)


def test_bit_identical_cells_do_not_beat_each_other_and_are_not_behind():
    grid = {("a", 0.0): [0.97, 0.98], ("b", 0.0): [0.97, 0.98]}
    best = find_best(accuracies_of(grid, measurements=[[0, 1], [0, 1]]), 0.05, 0.001)
    assert set(best.candidates) == {"a 0.0", "b 0.0"}
    assert set(best.behind.values()) == {0.0}


def apart(grid):
    """The same accuracies, with seeds of its own for each cell."""
    width = len(next(iter(grid.values())))
    spread = np.full((len(grid), len(grid), width), np.nan)
    for row, values in enumerate(grid.values()):
        spread[row, row] = values
    return dict(zip(grid, spread.reshape(len(grid), -1), strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_cells_without_common_seeds_are_compared_by_welch(seed):
    grid = grid_of(seed, lost=4, step=0.005)
    runs = [values[~np.isnan(values)] for values in grid.values()]
    assert min(map(len, runs)) > 2
    best = find_best(accuracies_of(apart(grid)), 0.05, 0.001, True)
    wins = [
        [stats.ttest_ind(one, other, equal_var=False, alternative="greater").pvalue < 0.05 / 4 for other in runs]
        for one in runs
    ]
    assert set(best.candidates) == {f"m{cell} 0.0" for cell in range(5) if not any(row[cell] for row in wins)}
    limits = [
        stats.ttest_ind(runs[0], other, equal_var=False).confidence_interval(1 - 2 * 0.05 / 4).low
        for cell, other in enumerate(runs)
        if f"m{cell} 0.0" in best.candidates
    ]
    assert best.behind["m0 0.0"] == pytest.approx(max(0.0, *(-limit for limit in limits)))


def test_cells_with_one_seed_beat_no_cell_and_are_not_called_equal():
    nan = np.nan
    grid = {("a", 0.0): [0.97, 0.98, nan, nan], ("b", 0.0): [nan, nan, 0.5, nan]}
    best = find_best(accuracies_of(grid), 0.05, 0.001)
    assert set(best.candidates) == {"a 0.0", "b 0.0"}
    assert not best.decided


@pytest.mark.parametrize("seed", range(30))
def test_with_few_levels_of_one_factor_the_best_and_the_contrasts_use_the_same_tests(seed):
    """So a level may be the best exactly if no contrast says that another level is better than it."""
    table = accuracies_of(grid_of(seed, cells=4, spread=0.0015))
    contrasts, _, (best,) = compare_methods([table], ["norm.name"], Promise())
    worse = {item.better_first.second for item in contrasts if item.outcome == "better"}
    assert set(best.candidates) == {f"m{cell} 0.0" for cell in range(4) if f"m{cell}" not in worse}
