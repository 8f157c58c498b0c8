import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import contingency_tables, power

from benchmarks import verdicts as simulation
from src.errors.atlas import correct_by_run, read_atlases
from src.results.results import load_results
from src.runs.sweep import PlannedJob, Sweep
from src.verdict.more_seeds import command_for, more_seeds
from src.verdict.pairs import clearest
from src.verdict.verdicts import judge


def judged(world, sweep):
    results = load_results([sweep], world.multirun)
    return judge([sweep], results, correct_by_run(read_atlases(results)))


def of_accuracies(*rows):
    return judge([], simulation.make_results(np.array(rows)), {})


def sweep_of(command, seeds=(0, 1, 2), cells=("bn", "gn")):
    jobs = [PlannedJob(f"{cell}{seed}", "", f"{cell} s{seed}", cell, {}) for cell in cells for seed in seeds]
    return Sweep("0" * 64, command, 1, ["norm.name", "seed"], jobs)


def test_several_seeds_are_paired_by_seed(world, six):
    (pair,) = judged(world, six).pairs
    bn, gn = [0.98, 0.96, 0.95], [0.96, 0.94, 0.90]
    expected = stats.ttest_rel(bn, gn)
    assert (pair.first, pair.second, pair.n, pair.method) == ("bn", "gn", 3, "paired t over 3 seeds")
    assert pair.difference == pytest.approx(0.03)
    assert pair.p == pytest.approx(expected.pvalue)
    assert (pair.low, pair.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert pair.superiority == 1.0


def test_only_seeds_in_common_count(world):
    jobs = [world.finish(world.configuration("bn", seed), {7: 0.9}) for seed in (0, 1, 2)]
    jobs += [world.finish(world.configuration("gn", seed), {7: 0.9, 8 + seed: 0.9}) for seed in (1, 2, 3)]
    (pair,) = judged(world, world.sweep(jobs)).pairs
    assert (pair.n, pair.difference) == (2, pytest.approx(0.01))


def test_one_seed_is_compared_by_image_and_is_not_about_the_methods(world):
    wrong = dict.fromkeys(range(20), 0.9)
    jobs = [world.finish(world.configuration("bn"), {1: 0.9, 50: 0.9}), world.finish(world.configuration("gn"), wrong)]
    verdicts = judged(world, world.sweep(jobs))
    (pair,) = verdicts.pairs
    assert pair.method == "exact McNemar on 100 images"
    assert pair.p == pytest.approx(contingency_tables.mcnemar([[79, 19], [1, 1]], exact=True).pvalue)
    assert pair.difference == pytest.approx(0.18)
    assert pair.decided
    assert pair.words.startswith(
        "on 100 test images, the trained network bn is better than the trained network gn by 18.00 points ["
    )
    assert "another seed could reverse it" in pair.words
    assert "not the methods" in verdicts.opening[-1]
    assert verdicts.more == "python -m src.train seeds=5"


def test_a_single_seed_without_predictions_is_left_out_with_its_reason(world):
    jobs = [world.finish(world.configuration(norm), {1: 0.9}) for norm in ("bn", "gn", "ln")]
    (world.multirun / "jobs" / jobs[1].folder / "predictions.npz").unlink()
    verdicts = judged(world, world.sweep(jobs))
    assert [(pair.first, pair.second) for pair in verdicts.pairs] == [("bn", "ln")]
    assert len(verdicts.left_out) == 2
    assert "predictions of gn s0 are missing" in verdicts.left_out[0]


def test_cells_without_a_common_seed_are_left_out(world):
    jobs = [world.finish(world.configuration("bn", 0), {}), world.finish(world.configuration("gn", 1), {})]
    verdicts = judged(world, world.sweep(jobs))
    assert verdicts.pairs == ()
    assert verdicts.left_out == ("bn and gn are not compared: they have no seed in common.",)
    assert verdicts.opening[-1] == "No two cells could be compared."


def test_cells_tested_on_different_images_are_not_compared(world):
    other = replace(world.data, noise=0.6)
    jobs = [world.finish(world.configuration("bn", seed), {1: 0.9}) for seed in (0, 1)]
    jobs += [world.finish(world.configuration("bn", seed, data=other), {1: 0.9}) for seed in (0, 1)]
    verdicts = judged(world, world.sweep(jobs))
    assert verdicts.pairs == ()
    assert verdicts.left_out[0].startswith("Cells tested on different images are not compared")
    assert verdicts.letters == {}  # nothing was compared


def test_a_difference_has_a_direction_and_an_interval():
    (pair,) = of_accuracies([0.9880, 0.9881, 0.9879, 0.9882], [0.9901, 0.9903, 0.9899, 0.9903]).pairs
    assert pair.decided
    assert pair.words == "m0 is worse than m1 by 0.21 points [0.20, 0.22]"


def test_a_tie_counts_half_in_the_chance_to_be_better():
    (pair,) = of_accuracies([0.99, 0.97, 0.98, 0.99], [0.98, 0.98, 0.98, 0.97]).pairs
    assert pair.superiority == (2 + 0.5) / 4


def test_an_undecided_pair_says_which_difference_more_seeds_would_detect():
    (pair,) = of_accuracies([0.990, 0.991, 0.989], [0.991, 0.990, 0.989]).pairs
    assert pair.words == (
        "m0 and m1 do not differ significantly (0 points [-0.25, 0.25]); "
        "about 7 more seeds would detect 0.1 points with a power of 80 %"
    )
    # The paired differences' sd is 0.1 points too: 10 seeds are enough, 9 are not.
    assert power.TTestPower().power(1.0, nobs=10, alpha=0.05) >= 0.8 > power.TTestPower().power(1.0, nobs=9, alpha=0.05)


def test_a_difference_can_be_significant_on_its_own_but_not_after_holms_correction():
    base = np.array([0.9900, 0.9910, 0.9905, 0.9907, 0.9899])
    noise = np.random.default_rng(3).normal(0, 0.001, (4, 5)).round(4)
    verdicts = of_accuracies(base, base + np.array([0.001, 0.0003, 0.0011, 0.0002, 0.0006]), *(base + noise))
    pair = verdicts.pairs[0]
    assert pair.p < 0.05 <= pair.p_holm
    assert "which is significant on its own, but not after Holm's correction over 15 pairs" in pair.words


@pytest.mark.parametrize("gap", [0.0, 0.0001, 0.3])
def test_differences_without_spread_use_the_rounding_of_whole_images(gap):
    (pair,) = of_accuracies([0.6] * 3, [0.6 + gap] * 3).pairs
    assert all(map(math.isfinite, (pair.low, pair.high, pair.p, pair.p_holm)))
    assert pair.decided == (gap == 0.3)
    assert pair.words


def test_the_opening_names_the_best_cell_the_span_and_the_basis():
    generator = np.random.default_rng(0)
    best = 0.99 + generator.normal(0, 0.0002, 5)
    verdicts = of_accuracies(best, best + generator.normal(0, 0.0002, 5), best - 0.02 + generator.normal(0, 0.0002, 5))
    first, span, basis = verdicts.opening
    assert "has the highest test accuracy, 99.0" in first
    assert "does not differ significantly from m" in first
    assert first.endswith("; it is significantly better than 1 cell.")
    assert span.startswith("The means span 2.0")
    assert basis == "Based on 5 seeds and 10,000 test images, with Holm's correction over 3 pairs at the 5 % level."


def test_a_single_cell_has_nothing_to_be_compared_with():
    verdicts = of_accuracies([0.9, 0.91])
    assert verdicts.opening == ("There is nothing to compare m0 with.",)
    assert verdicts.pairs == ()
    assert verdicts.more is None


def test_letters_agree_with_the_pairs():
    generator = np.random.default_rng(5)
    rows = [0.98 + 0.001 * k + generator.normal(0, 0.0006, 6) for k in range(7)]
    verdicts = of_accuracies(*rows)
    assert 0 < sum(pair.decided for pair in verdicts.pairs) < 21
    for pair in verdicts.pairs:
        alike = set(verdicts.letters[pair.first]) & set(verdicts.letters[pair.second])
        assert bool(alike) != pair.decided


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("-m norm=bn,gn seeds=3", "-m norm=bn,gn seeds=8"),
        ("-m norm=bn,gn seed=0,1,2", "-m norm=bn,gn seeds=8"),
        ("'seed=range(0,3)' norm=bn,gn", "norm=bn,gn seeds=8"),
        ("experiment=norms", "experiment=norms seeds=8"),
        ("'data.root=\"a b\"' seeds=3", "'data.root=\"a b\"' seeds=8"),
        (
            """'sweep.cells=["norm=none seed=range(0,3)","norm=gn seed=0,1,2 norm.groups=2,4"]'""",
            """'sweep.cells=["norm=none","norm=gn norm.groups=2,4"]' seeds=8""",
        ),
    ],
)
def test_the_command_is_the_sweeps_own_with_more_seeds(typed, expected):
    assert more_seeds([sweep_of(f"python -m src.train {typed}")], 8) == f"python -m src.train {expected}"


def test_seeds_that_do_not_begin_at_zero_are_kept_and_listed():
    sweep = sweep_of("python -m src.train norm=bn,gn seed=1,42", seeds=(1, 42))
    assert more_seeds([sweep], 4) == "python -m src.train norm=bn,gn seed=0,1,2,42"


def test_each_sweep_gets_the_seeds_that_it_lacks():
    first = sweep_of("python -m src.train norm=bn seeds=5", seeds=range(5), cells=["bn"])
    second = sweep_of("python -m src.train norm=gn seeds=3", cells=["gn"])
    assert more_seeds([first, second], 5) == "python -m src.train norm=gn seeds=5"
    assert more_seeds([first, second], 6) == "python -m src.train norm=bn seeds=6\npython -m src.train norm=gn seeds=6"


def test_requested_seeds_that_have_not_finished_need_no_new_command():
    assert more_seeds([sweep_of("python -m src.train norm=bn,gn seeds=3")], 3) is None


def test_the_opening_counts_the_unfinished_runs(world):
    jobs = [world.finish(world.configuration(norm, seed), {1: 0.9}) for norm in ("bn", "gn") for seed in (0, 1)]
    lost = [world.plan(world.configuration("gn", seed)) for seed in (2, 3)]
    assert "not finished" not in " ".join(judged(world, world.sweep(jobs)).opening)
    opening = judged(world, world.sweep([*jobs, *lost])).opening
    assert opening[-1].endswith(" at the 5 % level; 2 of 6 runs have not finished and do not count.")


def test_the_span_of_the_means_and_the_difference_on_common_seeds_are_both_given(world):
    """All of bn's seeds are better on average; on the common ones gn is."""
    wrong = {"bn": {0: 20, 1: 21, 2: 1, 3: 1, 4: 1}, "gn": {0: 10, 1: 9}}
    jobs = [
        world.finish(world.configuration(norm, seed), dict.fromkeys(range(count), 0.9))
        for norm, counts in wrong.items()
        for seed, count in counts.items()
    ]
    span = judged(world, world.sweep(jobs)).opening[1]
    assert span.startswith(
        "The means span 0.70 points, from 90.50 % (gn) to 91.20 % (bn); on the 2 common seeds their difference is "
        "-11.00 points (95 % confidence interval for this pair alone: [-"
    )


def test_a_sentence_says_that_no_effect_can_be_estimated(world):
    seeds = {("bn", 0.0): 0, ("bn", 1e-5): 1, ("gn", 0.0): 2, ("gn", 1e-5): 3}
    jobs = [world.finish(world.configuration(norm, seed, l1), {1: 0.9}) for (norm, l1), seed in seeds.items()]
    verdicts = judged(world, world.sweep(jobs))
    assert verdicts.effects == ()
    assert verdicts.left_out[-1].startswith("The effects of single factors cannot be estimated")


def test_the_clearest_pairs_keep_their_order():
    pairs = of_accuracies([0.990, 0.991, 0.992], [0.990, 0.991, 0.991], [0.9, 0.901, 0.9], [0.8, 0.801, 0.8]).pairs
    kept = clearest(pairs, 5)
    assert [pair for pair in pairs if pair in kept] == kept
    assert [(pair.first, pair.second) for pair in pairs if pair not in kept] == [("m0", "m1")]
    assert clearest(pairs, 6) == list(pairs)


def test_the_command_allows_the_number_of_its_jobs():
    sweep = sweep_of("python -m src.train norm=bn,gn seeds=90 sweep.max_jobs=200", seeds=range(90))
    assert command_for(sweep, range(110)) == "python -m src.train norm=bn,gn seeds=110 sweep.max_jobs=220"


def test_a_search_cannot_be_given_more_seeds():
    assert more_seeds([sweep_of("python -m src.train hydra/sweeper=optuna 'optimizer.lr=interval(0.1,1)'")], 5) is None


@pytest.mark.parametrize("seeds", [3, 5])
def test_sweeps_without_a_difference_seldom_yield_a_verdict(seeds):
    generator = np.random.default_rng(0)
    found = [any(pair.decided for pair in simulation.by_seed(generator, seeds, [0.99] * 6).pairs) for _ in range(200)]
    assert sum(found) <= stats.binom.isf(0.001, 200, 0.05)


def test_single_seeds_without_a_difference_seldom_yield_a_verdict():
    generator = np.random.default_rng(0)
    found = [any(pair.decided for pair in simulation.by_image(generator, 0.0).pairs) for _ in range(60)]
    assert sum(found) <= stats.binom.isf(0.001, 60, 0.05)


def test_the_intervals_cover_a_known_difference():
    generator = np.random.default_rng(0)
    held = []
    for _ in range(300):
        pair = simulation.by_seed(generator, 5, [0.99, 0.9904]).pairs[0]
        held.append(pair.low <= -0.0004 <= pair.high)
    assert stats.binom.ppf(0.001, 300, 0.95) <= sum(held) <= stats.binom.isf(0.001, 300, 0.95)


def test_many_cells_of_one_seed_are_compared_like_two():
    right = np.random.default_rng(0).random((60, 10_000)) < 0.99
    results = simulation.make_results(right.mean(axis=1)[:, None])
    verdicts = judge([], results, dict(zip(results.runs["run"], right, strict=True)))
    assert len(verdicts.pairs) == len(list(combinations(range(60), 2)))
    pair = verdicts.pairs[777]
    one, other = right[int(pair.first[1:])], right[int(pair.second[1:])]
    table = [[(one & other).sum(), (one & ~other).sum()], [(~one & other).sum(), (~one & ~other).sum()]]
    assert pair.p == pytest.approx(contingency_tables.mcnemar(table, exact=True).pvalue)


def test_no_finished_run_yields_no_verdict_at_all():
    verdicts = judge([], simulation.make_results(np.empty((0, 3))), {})
    assert (verdicts.pairs, verdicts.opening, verdicts.more, verdicts.left_out) == ((), (), None, ())


def test_cells_get_no_letters_if_some_could_not_be_compared(world):
    jobs = [world.finish(world.configuration("bn", seed), {seed: 0.9}) for seed in (0, 1)]
    jobs += [world.finish(world.configuration("gn", seed), {seed: 0.9}) for seed in (2, 3)]
    verdicts = judged(world, world.sweep(jobs))
    assert verdicts.pairs == ()
    assert verdicts.letters == {}


def test_a_higher_mean_over_other_seeds_does_not_reverse_a_pair(world):
    """Bn is worse than gn on each common seed, and has the higher mean by the seeds that it has alone."""
    jobs = [world.finish(world.configuration("bn", seed), dict.fromkeys(range(20), 0.9)) for seed in range(3)]
    jobs += [world.finish(world.configuration("bn", seed), {}) for seed in range(3, 20)]
    jobs += [world.finish(world.configuration("gn", seed), dict.fromkeys(range(8), 0.9)) for seed in range(3)]
    verdicts = judged(world, world.sweep(jobs))
    (pair,) = verdicts.pairs
    assert pair.decided
    assert "bn has the highest test accuracy" in verdicts.opening[0]
    assert "gn is significantly better on the common seeds" in verdicts.opening[0]
    assert "is significantly better than" not in verdicts.opening[0]


def same_cells(world, names, seeds, **curves):
    wrong = {seed: dict.fromkeys(range(5 + seed), 0.9) for seed in range(seeds)}
    return [world.finish(world.configuration(name, seed), wrong[seed], **curves) for name in names for seed in wrong]


@pytest.mark.parametrize("seeds", [1, 3])
def test_bit_identical_cells_are_reported_and_need_no_more_seeds(world, seeds):
    verdicts = judged(world, world.sweep(same_cells(world, ("bn", "gn"), seeds)))
    (pair,) = verdicts.pairs
    assert pair.equal
    assert pair.words == "With the same seed, bn and gn give bit-identical results"
    assert verdicts.opening[0].startswith("bn and gn give bit-identical results")
    assert "highest" not in " ".join(verdicts.opening)
    assert verdicts.opening[1].startswith("The means are all 9")
    assert verdicts.more is None


def test_bit_identical_cells_share_the_first_place(world):
    jobs = same_cells(world, ("bn", "gn"), 3)
    jobs += [world.finish(world.configuration("ln", seed), dict.fromkeys(range(40 + seed), 0.9)) for seed in range(3)]
    first = judged(world, world.sweep(jobs)).opening[0]
    assert first == (
        "bn and gn have the highest test accuracy, 94.00 % (bn and gn give bit-identical results with the same seed); "
        "bn is significantly better than the other cell."
    )


def test_equal_accuracies_with_different_curves_are_a_tie(world):
    jobs = same_cells(world, ("bn",), 3) + same_cells(world, ("gn",), 3, val=0.8)
    verdicts = judged(world, world.sweep(jobs))
    assert not verdicts.pairs[0].equal
    assert (
        verdicts.opening[0]
        == "bn and gn have the highest test accuracy, 94.00 %; bn does not differ significantly from gn."
    )
