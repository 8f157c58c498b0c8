import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from src.results.statistics import rounding_sd
from src.verdict.accuracies import NOT_READ
from src.verdict.contrasts import factor_contrasts, interactions, with_intervals
from src.verdict.methods import Promise, compare_methods
from tests.verdict.made_up import accuracies_of

FACTORS = ["norm.name", "reg.l1"]
GRID = {
    (norm, l1): np.round(0.9 + 0.01 * np.random.default_rng(ord(norm[0]) + int(l1 * 1e6)).random(6), 4)
    for norm in ("bn", "gn", "ln")
    for l1 in (0.0, 1e-5)
}


def by_question(contrasts):
    return {(item.factor, item.first, item.second): item for item in contrasts}


def main_contrasts(grid, alpha=0.05):
    return by_question(with_intervals(factor_contrasts(accuracies_of(grid), FACTORS, 0.001), alpha))


def test_every_two_levels_of_every_factor_are_compared():
    assert set(main_contrasts(GRID)) == {
        *(("norm", first, second) for first, second in (("bn", "gn"), ("bn", "ln"), ("gn", "ln"))),
        ("l1", "0", "1e-05"),
    }


@pytest.mark.parametrize(("first", "second"), [("bn", "gn"), ("bn", "ln"), ("gn", "ln")])
def test_a_contrast_is_the_paired_t_test_of_the_means_over_the_other_factor(first, second):
    found = main_contrasts(GRID, alpha=0.04)["norm", first, second]
    means = {norm: (GRID[norm, 0.0] + GRID[norm, 1e-5]) / 2 for norm in (first, second)}
    expected = stats.ttest_rel(means[first], means[second])
    assert (found.n, found.settings, found.averaged_over) == (6, 2, ("l1",))
    assert found.difference == pytest.approx(means[first].mean() - means[second].mean())
    assert found.sd == pytest.approx(np.std(means[first] - means[second], ddof=1))
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(1 - 0.04 / 4)))  # 4 contrasts


def test_an_interaction_is_the_difference_of_differences():
    found = by_question(with_intervals(interactions(accuracies_of(GRID), FACTORS, 0.001), 0.03))
    assert len(found) == 3
    each = GRID["bn", 0.0] - GRID["bn", 1e-5] - GRID["ln", 0.0] + GRID["ln", 1e-5]
    expected = stats.ttest_1samp(each, 0)
    contrast = found["norm x l1", "bn, 0", "ln, 1e-05"]
    assert contrast.difference == pytest.approx(each.mean())
    assert contrast.p == pytest.approx(expected.pvalue)
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected.confidence_interval(1 - 0.03 / 3)))


@pytest.mark.parametrize("lost", [(("gn", 1e-5), 2), (("bn", 0.0), 0)])
def test_a_missing_run_takes_no_interval_away(lost):
    (cell, seed), grid = lost, {levels: values.copy() for levels, values in GRID.items()}
    grid[cell][seed] = np.nan
    found = main_contrasts(grid)
    assert set(found) == set(main_contrasts(GRID))
    contrast = found["norm", "bn", "gn"]
    differences = np.array([grid["bn", l1] - grid["gn", l1] for l1 in (0.0, 1e-5)])
    assert contrast.n == 6  # the seed keeps the setting in which it has both runs
    assert contrast.differences == pytest.approx(np.nanmean(differences, axis=0))
    expected = stats.ttest_1samp(contrast.differences, 0).confidence_interval(1 - 0.05 / 4)
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected))


def test_a_setting_that_one_level_lacks_does_not_count():
    grid = {levels: values for levels, values in GRID.items() if levels != ("gn", 1e-5)}
    contrast = main_contrasts(grid)["norm", "bn", "gn"]
    assert contrast.settings == 1
    assert contrast.differences == pytest.approx(GRID["bn", 0.0] - GRID["gn", 0.0])


def test_a_single_seed_gives_no_interval_and_spends_nothing():
    nan = np.nan
    grid = {("bn", 0.0): [0.9, 0.91, nan], ("gn", 0.0): [0.92, 0.9, nan], ("ln", 0.0): [nan, 0.9, nan]}
    found = main_contrasts(grid)
    single = found["norm", "bn", "ln"]
    assert (single.n, single.low, single.p, single.outcome) == (1, None, None, "open")
    expected = stats.ttest_rel(grid["bn", 0.0][:2], grid["gn", 0.0][:2]).confidence_interval(0.95)
    contrast = found["norm", "bn", "gn"]
    assert (contrast.low, contrast.high) == pytest.approx(tuple(expected))


def test_cells_with_one_seed_each_that_they_do_not_share_are_not_compared():
    assert not main_contrasts({("bn", 0.0): [0.9, np.nan], ("gn", 0.0): [np.nan, 0.9]})


def with_own_seeds(grid, seeds_of):
    """Move the accuracies of each cell to the seeds that `seeds_of` gives for its levels."""
    last = max(max(seeds_of(levels)) for levels in grid)
    moved = {levels: np.full(last + 1, np.nan) for levels in grid}
    for levels, values in grid.items():
        moved[levels][seeds_of(levels)] = values
    return moved


@pytest.mark.parametrize("common", [0, 1])
def test_cells_that_share_fewer_than_two_seeds_are_compared_by_welch(common):
    first, second = GRID["bn", 0.0][:4], GRID["gn", 0.0]
    grid = {("bn", 0.0): [*first, *[np.nan] * (6 - common)]}
    grid["gn", 0.0] = [*[np.nan] * (4 - common), *second]
    (found,) = main_contrasts(grid, alpha=0.03).values()
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.97)))
    statsmodels = CompareMeans(DescrStatsW(first), DescrStatsW(second)).tconfint_diff(0.03, usevar="unequal")
    assert (found.low, found.high) == pytest.approx(statsmodels)
    assert (found.p, found.n) == (pytest.approx(expected.pvalue), 4)
    assert found.sentence.endswith("(4 seeds, not shared)")
    (turned,) = main_contrasts({("bn", 0.0): grid["gn", 0.0], ("gn", 0.0): grid["bn", 0.0]}, alpha=0.03).values()
    assert found.difference > 0 > turned.difference
    assert (turned.better_first.low, turned.better_first.high) == pytest.approx((found.low, found.high))
    assert turned.better_first.difference == pytest.approx(found.difference)


def test_two_seeds_that_are_not_shared_have_one_degree_of_freedom():
    first, second = [0.9, 0.93], [0.91, 0.99, 0.95]
    nan = np.nan
    (found,) = main_contrasts({("bn", 0.0): [*first, nan, nan, nan], ("gn", 0.0): [nan, nan, *second]}).values()
    standard_error = (np.var(first, ddof=1) / 2 + np.var(second, ddof=1) / 3) ** 0.5
    half_width = stats.t.isf(0.025, 1) * standard_error
    assert found.high - found.difference == pytest.approx(half_width)


def test_levels_whose_settings_share_seeds_are_compared_by_the_means_of_each_seed():
    """The runs of one seed at several settings are one observation, as in the paired comparison."""
    grid = with_own_seeds(GRID, lambda levels: np.arange(6) + 6 * ["bn", "gn", "ln"].index(levels[0]))
    found = main_contrasts(grid, alpha=0.04)["norm", "bn", "ln"]
    bn, ln = ((GRID[norm, 0.0] + GRID[norm, 1e-5]) / 2 for norm in ("bn", "ln"))
    expected = stats.ttest_ind(bn, ln, equal_var=False)
    assert (found.settings, found.p) == (2, pytest.approx(expected.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(1 - 0.04 / 4)))
    paired = main_contrasts(grid)["l1", "0", "1e-05"]  # each norm has its seeds at both l1
    assert (paired.n, paired.welch) == (18, None)


def test_settings_with_seeds_of_their_own_are_independent_samples():
    cells = list(GRID)
    found = main_contrasts(with_own_seeds(GRID, lambda levels: np.arange(6) + 6 * cells.index(levels)))
    contrast = found["norm", "bn", "gn"]
    squares = [GRID[levels].var(ddof=1) / 6 / 4 for levels in cells if levels[0] != "ln"]
    degrees = sum(squares) ** 2 / sum(square**2 / 5 for square in squares)
    assert contrast.degrees == pytest.approx(degrees)
    half_width = stats.t.isf(0.05 / 4 / 2, degrees) * sum(squares) ** 0.5
    assert contrast.high - contrast.difference == pytest.approx(half_width)
    interaction = by_question(interactions(accuracies_of(GRID), FACTORS, 0.001))["norm x l1", "bn, 0", "ln, 1e-05"]
    grid = with_own_seeds(GRID, lambda levels: np.arange(6) + 6 * cells.index(levels))
    apart = by_question(interactions(accuracies_of(grid), FACTORS, 0.001))["norm x l1", "bn, 0", "ln, 1e-05"]
    assert apart.difference == pytest.approx(interaction.difference)


def test_unpaired_accuracies_without_spread_use_the_rounding_to_whole_images():
    nan = np.nan
    (found,) = main_contrasts(
        {("bn", 0.0): [*[0.6] * 3, nan, nan, nan], ("gn", 0.0): [nan, nan, nan, *[0.61] * 3]}
    ).values()
    assert found.standard_error == pytest.approx(rounding_sd(10_000) / 3**0.5)


def test_a_cell_that_does_not_read_a_factor_has_no_level_of_it():
    grid = {("none", NOT_READ): [0.9, 0.91], ("gn", 2): [0.92, 0.9], ("gn", 4): [0.93, 0.9]}
    found = factor_contrasts(accuracies_of(grid), ["norm.name", "norm.groups"], 0.001)
    assert [(item.factor, item.first, item.second) for item in found] == [("groups", "2", "4")]


@pytest.mark.parametrize(
    ("differences", "outcome"),
    [
        ([30, 31, 29, 30, 31, 30], "better"),
        ([-30, -31, -29, -30, -31, -30], "better"),
        ([1, -1, 2, -2, 1, -1], "equal"),
        ([30, -31, 29, -30, 31, -30], "open"),
        ([9, 11, 9, 11, 9, 11], "better"),
    ],
)
def test_a_contrast_is_better_equal_or_open(differences, outcome):
    """The differences are in images of 10,000; the margin is 10 images."""
    base = np.full(6, 0.9)
    (found,) = main_contrasts({("bn", 0.0): base + np.array(differences) / 10_000, ("gn", 0.0): base}).values()
    interval = stats.ttest_1samp(np.array(differences) / 10_000, 0).confidence_interval(0.95)
    inside = -0.001 <= interval.low <= interval.high <= 0.001
    expected = "better" if interval.low > 0 or interval.high < 0 else "equal" if inside else "open"
    assert found.outcome == expected == outcome


@pytest.mark.parametrize("gap", [0.0, 0.0001, 0.3])
def test_differences_without_spread_use_the_rounding_to_whole_images(gap):
    (found,) = main_contrasts({("bn", 0.0): [0.6] * 3, ("gn", 0.0): [0.6 + gap] * 3}).values()
    half_width = stats.t.isf(0.025, 2) * rounding_sd(10_000) / 3**0.5
    assert (found.low, found.high) == pytest.approx((-gap - half_width, -gap + half_width))
    assert found.outcome == ("better" if gap == 0.3 else "equal")


def test_bit_identical_runs_are_equal_even_with_one_seed():
    table = accuracies_of({("bn", 0.0): [0.9], ("gn", 0.0): [0.9]}, measurements=[[0], [0]])
    (found,) = factor_contrasts(table, FACTORS[:1], 0.001)
    assert found.outcome == "equal"
    assert "bit-identical" in found.sentence


def test_equal_accuracies_of_different_runs_are_not_called_bit_identical():
    (found,) = main_contrasts({("bn", 0.0): [0.9, 0.91], ("gn", 0.0): [0.9, 0.91]}).values()
    assert not found.identical


def crossing(size, seeds=8):
    generator = np.random.default_rng(3)
    signs = {("bn", 0.0): 1, ("bn", 1e-5): -1, ("gn", 0.0): -1, ("gn", 1e-5): 1}
    return {levels: 0.9 + size * sign + generator.normal(0, 0.0005, seeds) for levels, sign in signs.items()}


def test_an_interaction_replaces_the_averages_by_effects_at_each_setting():
    grid = crossing(0.005)
    promise = Promise(level=0.04)
    contrasts, found, _ = compare_methods([accuracies_of(grid)], FACTORS, promise)
    assert [item.factor for item in found] == ["norm x l1"]
    assert {(item.factor, item.setting) for item in contrasts} == {
        *(("norm", f"l1={level}") for level in ("0", "1e-05")),
        *(("l1", f"norm={level}") for level in ("bn", "gn")),
    }
    (part,) = [item for item in contrasts if item.setting == "l1=1e-05"]
    expected = stats.ttest_rel(grid["bn", 1e-5], grid["gn", 1e-5])
    level = 0.53 * 0.04 / 2 / 2  # the effects' share, for two contrasts, for two settings of each
    assert (part.low, part.high) == pytest.approx(tuple(expected.confidence_interval(1 - level)))
    assert part.sentence.startswith("gn is better than bn by 1.0")
    assert "at l1=1e-05" in part.sentence


def test_the_levels_of_an_interaction_may_hold_a_comma_and_an_x():
    grid = {(norm, "a, b x c" if l1 else "d"): values for (norm, l1), values in crossing(0.005).items()}
    contrasts, found, _ = compare_methods([accuracies_of(grid)], ["norm.name", "data.root"], Promise(level=0.04))
    assert [item.factor for item in found] == ["norm x root"]
    assert {item.setting for item in contrasts} == {"root=a, b x c", "root=d", "norm=bn", "norm=gn"}


def test_a_contrast_that_interacts_with_two_factors_is_split_by_both():
    """Bn is better than gn where l1 and l2 are both 0, and equal to it elsewhere."""
    generator = np.random.default_rng(3)
    grid = {
        (norm, l1, l2, width): 0.9 + 0.01 * (norm == "bn" and l1 == l2 == 0) + generator.normal(0, 0.0004, 10)
        for norm in ("bn", "gn")
        for l1 in (0, 1)
        for l2 in (0, 1)
        for width in (8, 16)
    }
    factors = ["norm.name", "reg.l1", "reg.l2", "model.width"]
    contrasts, found, _ = compare_methods([accuracies_of(grid)], factors, Promise(level=0.04))
    assert {item.factor for item in found} == {"norm x l1", "norm x l2", "l1 x l2"}
    parts = {item.setting: item for item in contrasts if item.factor == "norm"}
    assert set(parts) == {f"l1={l1}, l2={l2}" for l1 in (0, 1) for l2 in (0, 1)}
    assert [setting for setting, item in parts.items() if item.outcome == "better"] == ["l1=0, l2=0"]
    part = parts["l1=0, l2=0"]
    means = [(grid[norm, 0, 0, 8] + grid[norm, 0, 0, 16]) / 2 for norm in ("bn", "gn")]
    expected = stats.ttest_rel(*means).confidence_interval(1 - 0.53 * 0.04 / 4 / 4)  # 4 contrasts, 4 settings
    assert (part.low, part.high) == pytest.approx(tuple(expected))
    assert part.scope_text == " at l1=0, l2=0, averaged over width (2 settings)"


def test_averages_stay_if_no_interaction_is_significant():
    contrasts, found, _ = compare_methods([accuracies_of(crossing(0.0))], FACTORS, Promise())
    assert not found
    assert not any(item.setting for item in contrasts)


def test_a_contrast_reads_the_same_from_both_sides():
    grid = {("bn", 0.0): np.array([0.90, 0.91, 0.90, 0.91]), ("gn", 0.0): np.array([0.93, 0.94, 0.93, 0.94])}
    (one,) = main_contrasts(grid).values()
    (other,) = main_contrasts({("bn", 0.0): grid["gn", 0.0], ("gn", 0.0): grid["bn", 0.0]}).values()
    assert one.sentence.startswith("gn is better than bn by 3.00 points [2.")
    assert other.sentence == one.sentence.replace("gn", "?").replace("bn", "gn").replace("?", "bn")
    turned = one.better_first
    assert (turned.low, turned.high, turned.difference) == (-one.high, -one.low, -one.difference)


def test_more_levels_than_a_comparison_names_leave_only_the_best():
    grid = {(f"m{level:02}", 0.0): [0.9, 0.91, 0.9] for level in range(13)}
    contrasts, _, (best,) = compare_methods([accuracies_of(grid)], FACTORS, Promise())
    assert not contrasts
    assert len(best.cells) == 13


def test_cells_that_form_no_grid_are_compared_with_each_other():
    grid = {("bn", 0.0): [0.9, 0.91, 0.9], ("gn", 1e-5): [0.95, 0.97, 0.96]}
    (found,), _, _ = compare_methods([accuracies_of(grid)], FACTORS, Promise(level=0.04))
    assert (found.factor, found.first, found.second) == ("cell", "bn 0.0", "gn 1e-05")
    expected = stats.ttest_rel(*grid.values()).confidence_interval(1 - 0.92 * 0.04)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
