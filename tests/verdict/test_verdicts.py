import shlex
from dataclasses import replace

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from scipy import stats
from statsmodels.stats import contingency_tables

from src.errors.atlas import correct_by_run, read_atlases
from src.report.statements import basis_sentences
from src.results.results import load_results
from src.runs.sweep import PlannedJob, Sweep
from src.sweep.overrides import check_overrides, group_options
from src.verdict.commands import count_new_runs
from src.verdict.methods import Promise
from src.verdict.verdicts import judge
from src.verdict.words import answer_lines, next_step
from tests.verdict.made_up import results_of, several_datasets

NORMS, L1 = ("bn", "gn", "ln"), (0.0, 1e-5)
ORDERS = (  # how the same grid can be typed: the order of norms, of penalties, and of the keys
    (NORMS, L1, "norm"),
    (NORMS[::-1], L1, "norm"),
    (("gn", "bn", "ln"), L1[::-1], "norm"),
    (NORMS, L1, "l1"),
    (NORMS[::-1], L1[::-1], "l1"),
    (("ln", "bn", "gn"), L1[::-1], "l1"),
)


def judged(world, sweep):
    results = load_results([sweep], world.multirun)
    return judge([sweep], results, correct_by_run(read_atlases(results)))


def finish(world, norm, l1, seed, wrong, val=0.9):
    """Add a finished run that misclassifies the first `wrong` images."""
    return world.finish(world.configuration(norm, seed, l1), dict.fromkeys(range(wrong), 0.9), val=val)


@pytest.fixture
def grid(world):
    """Thirty runs: ln is worse than bn and gn, and gn's validation accuracy is the highest."""
    generator = np.random.default_rng(5)
    return {
        (norm, l1, seed): finish(
            world,
            norm,
            l1,
            seed,
            int(generator.integers(3, 9)) + 12 * (norm == "ln"),
            0.95 if (norm, l1) == ("gn", 0.0) else 0.9,
        )
        for norm in NORMS
        for l1 in L1
        for seed in range(5)
    }


def typed(world, grid, norms, penalties, outer):
    """The sweep of a command that lists the grid's values in some order."""
    cells = [(norm, l1) for norm in norms for l1 in penalties]
    if outer == "l1":
        cells = [(norm, l1) for l1 in penalties for norm in norms]
    jobs = [grid[(*cell, seed)] for cell in cells for seed in range(5)]
    varies = ["norm.name", "reg.l1", "seed"] if outer == "norm" else ["reg.l1", "norm.name", "seed"]
    return Sweep("0" * 64, "python -m src.train", 1, varies, jobs)


def test_the_order_of_typing_changes_no_sentence(world, grid):
    verdicts = [judged(world, typed(world, grid, *order)) for order in ORDERS]
    said = {tuple(answer_lines(one)) + tuple(next_step(one).lines) for one in verdicts}
    assert len(said) == 1
    (lines,) = said
    assert any("beats ln by" in line for line in lines)
    assert len({repr((one.contrasts, one.interactions, one.best, one.failures)) for one in verdicts}) == 1


def test_one_run_less_takes_no_interval_away(world, grid):
    jobs = [job for key, job in grid.items() if key != ("gn", 1e-5, 3)]
    verdicts = judged(world, world.sweep(jobs))
    assert {(item.first, item.second) for item in verdicts.contrasts} == {
        *(("bn", "gn"), ("bn", "ln"), ("gn", "ln")),
        ("0", "1e-05"),
    }
    assert all(item.low is not None and item.n == 5 for item in verdicts.contrasts)
    assert "4 to 5 seeds" in answer_lines(verdicts)[0]


def test_the_answer_names_who_is_ahead_by_how_much_and_what_to_do(world, grid):
    verdicts = judged(world, typed(world, grid, *ORDERS[0]))
    first, second, third = answer_lines(verdicts)
    decided = min((item for item in verdicts.contrasts if item.outcome == "better"), key=lambda item: item.p)
    ahead = decided.better_first
    assert first.startswith("5 seeds: ")
    assert f"{ahead.first} beats ln by {100 * ahead.low:.2f}\N{EN DASH}{100 * ahead.high:.2f} points" in first
    assert "bn vs gn" in second
    assert "averaged over other settings" in second
    assert "hoose gn l1=0: best validation accuracy (95.00 %" in third
    assert f"test {100 * verdicts.best[0].test:.2f} %" in third
    assert len([*answer_lines(verdicts), *next_step(verdicts).lines]) <= 6


def test_one_seed_compares_networks_and_not_methods(world):
    runs = {"bn": (1, 50), "gn": tuple(range(20)), "ln": (1, 2, 3)}
    jobs = [world.finish(world.configuration(norm), dict.fromkeys(wrong, 0.9)) for norm, wrong in runs.items()]
    verdicts = judged(world, world.sweep(jobs))
    assert (verdicts.contrasts, verdicts.best, verdicts.failure_differences) == ((), (), ())
    (pair,) = [pair for pair in verdicts.networks if {pair.better, pair.worse} == {"bn", "gn"}]
    assert pair.p == pytest.approx(contingency_tables.mcnemar([[79, 19], [1, 1]], exact=True).pvalue)
    assert (pair.better, pair.difference) == ("bn", pytest.approx(0.18))
    lines = answer_lines(verdicts)
    assert "3 trained networks, not methods" in lines[0]
    assert "bn leads gn by 18.00 points" in lines[1]
    (following,) = next_step(verdicts).lines
    assert "5 seeds" in following
    assert "12 more runs" in following
    assert following.endswith("python -m src.train seeds=5")


def test_a_network_without_predictions_is_not_compared(world):
    jobs = [world.finish(world.configuration(norm), {1: 0.9}) for norm in ("bn", "gn", "ln")]
    (world.multirun / "jobs" / jobs[1].folder / "predictions.npz").unlink()
    (pair,) = judged(world, world.sweep(jobs)).networks
    assert {pair.better, pair.worse} == {"bn", "ln"}


def test_cells_with_one_seed_are_left_out_and_named(world):
    jobs = [finish(world, norm, 0.0, seed, 5 + seed) for norm in ("bn", "gn") for seed in range(3)]
    with_single = judged(world, world.sweep([*jobs, finish(world, "ln", 0.0, 0, 50)]))
    without = judged(world, world.sweep(jobs))
    assert repr(with_single.contrasts) == repr(without.contrasts)
    assert with_single.best[0].cells == without.best[0].cells
    assert "ln has one seed and cannot be compared." in answer_lines(with_single)
    assert with_single.networks == ()


def test_runs_that_failed_or_did_not_learn_are_counted_and_left_out():
    base = [0.98, 0.981, 0.979, 0.98]
    test = {("bn", 0.0): base, ("gn", 0.0): base, ("none", 0.0): [0.1, 0.98, 0.09, 0.981]}
    failed = [(("none", 0.0), seed) for seed in (4, 5)]
    verdicts = judge([], results_of(test, failed=failed), {})
    assert (verdicts.failed_run_count, verdicts.run_count) == (4, 14)
    assert {(c.level, c.failed_run_count, c.run_count) for c in verdicts.failures if c.factor == "norm"} == {
        *(("bn", 0, 4), ("gn", 0, 4)),
        ("none", 4, 6),
    }
    (contrast,) = [item for item in verdicts.contrasts if (item.first, item.second) == ("bn", "none")]
    assert contrast.differences == pytest.approx([base[1] - 0.98, base[3] - 0.981])  # seeds 1 and 3 learned
    assert any("4 of 14 runs failed or learned nothing (none: 4 of 6)" in line for line in answer_lines(verdicts))


def test_a_method_that_never_learns_does_not_stop_the_others():
    test = {("bn", 0.0): [0.98, 0.981, 0.98], ("gn", 0.0): [0.9, 0.901, 0.9], ("none", 0.0): [0.1] * 3}
    verdicts = judge([], results_of(test), {})
    assert {(item.first, item.second) for item in verdicts.contrasts} == {("bn", "gn")}
    assert verdicts.best[0].candidates == ("a ('bn', 0.0)",)
    assert any("none: 3 of 3" in line for line in answer_lines(verdicts))


def test_if_no_method_learns_the_answer_says_so():
    verdicts = judge([], results_of({("bn", 0.0): [0.1, 0.101], ("gn", 0.0): [0.1, 0.099]}), {})
    assert verdicts.failed_run_count == 0
    assert answer_lines(verdicts)[0].startswith("No method learned data a: the best run has 10.10 %")


def test_the_largest_class_decides_what_learning_is():
    results = results_of({("bn", 0.0): [0.98, 0.981], ("gn", 0.0): [0.6, 0.61]})
    assert judge([], results, {}).failed_run_count == 0
    assert judge([], results, {}, largest_class={"a" * 64: 0.7}).failed_run_count == 2


def test_datasets_are_compared_one_by_one_and_share_the_level():
    values = {("bn", 0.0): [0.98, 0.981, 0.983], ("gn", 0.0): [0.97, 0.969, 0.971]}
    shifted = {levels: [value - 0.3 for value in accuracies] for levels, accuracies in values.items()}
    verdicts = judge([], several_datasets(results_of(values), results_of(shifted, dataset="b")), {}, Promise(0.04))
    assert [(item.first, item.second, item.dataset) for item in verdicts.contrasts] == [
        ("bn", "gn", "data a"),
        ("bn", "gn", "data b"),
    ]
    expected = stats.ttest_rel(*values.values()).confidence_interval(1 - 0.92 * 0.04 / 2)
    for contrast in verdicts.contrasts:
        assert (contrast.low, contrast.high) == pytest.approx(tuple(expected))
        assert contrast.scope_text == f" on {contrast.dataset}"
    assert [best.dataset for best in verdicts.best] == ["data a", "data b"]
    assert "on data a" in " ".join(answer_lines(verdicts))
    assert verdicts.left_out[0].startswith("Cells tested on different images are not compared")


def test_a_folder_with_two_datasets_is_split(world):
    other = replace(world.data, noise=0.6)
    jobs = [finish(world, norm, 0.0, seed, 5 + seed) for norm in ("bn", "gn") for seed in (0, 1)]
    jobs += [world.finish(world.configuration("bn", seed, data=other), {1: 0.9}) for seed in (0, 1)]
    verdicts = judged(world, world.sweep(jobs))
    assert {(item.first, item.second) for item in verdicts.contrasts} == {("bn", "gn")}
    assert len(verdicts.best) == 1


def test_bit_identical_methods_are_equal_and_need_no_more_seeds(world):
    jobs = [finish(world, norm, 0.0, seed, 5 + seed) for norm in ("bn", "gn") for seed in range(3)]
    verdicts = judged(world, world.sweep(jobs))
    (contrast,) = verdicts.contrasts
    assert (contrast.outcome, contrast.identical) == ("equal", True)
    assert verdicts.best[0].candidates_equal
    assert verdicts.advice is None
    assert not verdicts.open
    assert next_step(verdicts).lines == ["Every question is decided, so you need no more seeds."]


def test_equal_accuracies_with_different_curves_are_not_bit_identical(world):
    jobs = [finish(world, "bn", 0.0, seed, 5 + seed) for seed in range(3)]
    jobs += [finish(world, "gn", 0.0, seed, 5 + seed, val=0.8) for seed in range(3)]
    assert not judged(world, world.sweep(jobs)).contrasts[0].identical


def test_cells_without_a_common_seed_are_compared_by_welch_and_the_answer_says_so(world):
    seeds = {"bn": range(3), "gn": range(3, 6)}
    jobs = [finish(world, norm, 0.0, seed, 5 + seed % 2) for norm in seeds for seed in seeds[norm]]
    verdicts = judged(world, world.sweep(jobs))
    (contrast,) = verdicts.contrasts
    assert contrast.welch is not None
    assert len(verdicts.best[0].candidates) == 2
    assert verdicts.open
    assert answer_lines(verdicts)[0].startswith(
        "3 seeds, not all shared (Welch's intervals): no significant differences"
    )
    assert any("Welch's t intervals" in sentence for sentence in basis_sentences(verdicts))


def test_validation_chooses_among_the_cells_with_all_seeds_and_says_so():
    """A mean over fewer seeds varies more, so it would be the highest too often."""
    grid = {("bn", 0.0): [0.99, 0.991], ("gn", 0.0): [0.98, 0.981, 0.982], ("ln", 0.0): [0.97, 0.971, 0.97]}
    lines = " ".join(answer_lines(judge([], results_of(grid), {})))
    assert "Of the 2 cells with all seeds, validation prefers a ('gn', 0.0)" in lines
    assert "prefers bn" not in lines


@pytest.mark.parametrize(
    ("test", "says"), [(0.97, "the only cell with all seeds"), (0.5, "but other cells are better")]
)
def test_the_only_cell_with_all_seeds_is_named_as_such(test, says):
    others = {(norm, 0.0): [0.98, 0.981 - 0.01 * (norm == "gn")] for norm in ("gn", "ln")}
    grid = {("bn", 0.0): [test, test - 0.02, test - 0.01], **others}
    lines = " ".join(answer_lines(judge([], results_of(grid), {})))
    assert says in lines
    assert "a ('bn', 0.0), the only cell with all seeds (validation " in lines
    assert "1 cells" not in lines


def test_the_last_look_suggests_no_more_seeds():
    generator = np.random.default_rng(0)
    results = results_of({(norm, 0.0): 0.98 + generator.normal(0, 0.0008, 5).round(4) for norm in ("bn", "gn")})
    assert judge([], results, {}).advice is not None
    planned = judge([], results, {}, Promise(planned=True))
    assert planned.advice is None
    assert next_step(planned).lines == []
    assert "last planned look" in next_step(judge([], results, {}, Promise(planned=True, is_last=True))).lines[0]


def test_a_margin_of_the_users_own_decides_what_is_equal():
    base = np.array([0.98, 0.981, 0.983, 0.982, 0.98])
    other = base + np.array([1, -1, 1, -1, 0]) * 8e-4
    results = results_of({("bn", 0.0): base, ("gn", 0.0): other})
    outcomes = [judge([], results, {}, Promise(equal_within=margin)).contrasts[0].outcome for margin in (0.001, 0.01)]
    assert outcomes == ["open", "equal"]


def test_a_single_cell_or_no_run_leaves_nothing_to_compare():
    alone = judge([], results_of({("bn", 0.0): [0.9, 0.91]}), {})
    assert (alone.contrasts, alone.best, alone.open) == ((), (), False)
    assert answer_lines(alone) == ["There is nothing to compare."]


def test_a_job_that_diverged_is_counted(world):
    jobs = [finish(world, norm, 0.0, seed, 5 + seed) for norm in ("bn", "gn") for seed in range(3)]
    jobs.append(world.fail(world.configuration("gn", 3), "FAILED", "the loss is not finite"))
    verdicts = judged(world, world.sweep(jobs))
    assert (verdicts.failed_run_count, verdicts.run_count) == (1, 7)
    assert any("1 of 7 runs failed or learned nothing (gn: 1 of 4)" in line for line in answer_lines(verdicts))


def test_after_a_search_the_best_trials_are_compared_with_new_seeds(world):
    """The search chose them by their results with its own seed, so this seed would flatter them."""
    found = {("bn", 1e-5): 0.9, ("gn", 2e-6): 0.95, ("bn", 3e-4): 0.92, ("gn", 0.0): 0.85}
    jobs = [finish(world, norm, l1, 1, 5, val) for (norm, l1), val in found.items()]
    words = "hydra/sweeper=optuna hydra.sweeper.n_trials=4 'norm=choice(bn,gn)' 'reg.l1=interval(0,1e-3)' epochs=3"
    sweep = replace(world.sweep(jobs), command=f"python -m src.train -m {words}", varies=["norm.name", "reg.l1"])
    lines = next_step(judged(world, sweep)).lines
    cells = ["norm=gn reg.l1=2e-06", "norm=bn reg.l1=0.0003", "norm=bn reg.l1=1e-05"]
    assert lines[0].startswith("To compare the 3 best trials, run 5 new seeds (15 more runs")
    arguments = shlex.split(lines[0].partition(":  ")[2])
    assert arguments == [
        *("python", "-m", "src.train", "-m", "epochs=3"),
        "sweep.cells=[" + ",".join(f'"{cell}"' for cell in cells) + "]",
        "seed=0,2,3,4,5",
    ]
    check_overrides(OverridesParser.create().parse_overrides(arguments[4:]), group_options())  # normlab accepts it


def test_if_only_the_best_cell_is_open_the_advice_is_about_it():
    generator = np.random.default_rng(0)
    test = {(f"m{k:02}", 0.0): 0.98 + 0.01 * (k < 3) + generator.normal(0, 0.0003, 5) for k in range(14)}
    commands = " ".join(f"m{k:02}" for k in range(14))
    jobs = [
        PlannedJob(f"{cell}{seed}", "", f"{cell} s{seed}", cell, {}) for cell in commands.split() for seed in range(5)
    ]
    sweep = Sweep("0" * 64, "python -m src.train -m norm=many seeds=5", 1, ["norm.name", "seed"], jobs)
    results = results_of(test)
    results = replace(results, runs=results.runs.assign(cell_key=results.runs["cell"], job=results.runs["run"]))
    verdicts = judge([sweep], results, {})
    assert verdicts.contrasts == ()
    assert len(verdicts.best[0].candidates) == 3
    (line,) = next_step(verdicts).lines
    assert line.startswith("To find the best, train ")
    assert line.endswith(f"seeds={verdicts.advice.seeds}")
    assert 5 < verdicts.advice.seeds <= 20


def test_cells_with_several_seeds_beside_cells_with_one_are_told_how_to_go_on(world):
    jobs = [finish(world, "bn", 0.0, seed, 5 + seed) for seed in range(5)]
    jobs += [finish(world, norm, 0.0, 0, 7) for norm in ("gn", "ln")]
    verdicts = judged(world, world.sweep(jobs))
    assert answer_lines(verdicts) == ["Nothing can be compared, because gn and ln have one seed."]
    (line,) = next_step(verdicts).lines
    assert line.startswith("To compare all cells, give them the same seeds (8 more runs")
    assert line.endswith("python -m src.train seeds=5")


def test_cells_without_a_common_seed_are_given_the_same_seeds(world):
    jobs = [finish(world, norm, 0.0, seed, 5) for norm, seeds in (("bn", (0, 1)), ("gn", (2, 3))) for seed in seeds]
    (line,) = next_step(judged(world, world.sweep(jobs))).lines
    assert "give them the same seeds (4 more runs" in line
    assert line.endswith("seeds=4")


def test_new_runs_are_counted_by_cell_and_seed_if_several_sweeps_share_a_folder(world):
    """Both sweeps have a cell `bn`, and one has a seed that the advice does not ask for."""
    first = world.sweep([finish(world, "bn", 0.0, seed, 5 + seed) for seed in (0, 1, 9)])
    other = replace(world.data, noise=0.6)
    configurations = [world.configuration("bn", seed, data=other) for seed in range(3)]
    second = world.sweep([world.finish(item, {1: 0.9, 2: 0.9}) for item in configurations])
    third = world.sweep([finish(world, "gn", 0.0, seed, 7) for seed in (0, 1)] + first.jobs[:2])
    assert len({job.cell for sweep in (first, second) for job in sweep.jobs}) == 1
    results = load_results([first, second, third], world.multirun)
    seeds = [0, 1, 2, 9]
    needed = {(cell, seed) for cell in ("bn", "other bn", "gn") for seed in seeds}
    finished = {*(("bn", seed) for seed in (0, 1, 9)), *(("other bn", seed) for seed in range(3)), ("gn", 0), ("gn", 1)}
    assert count_new_runs([first, second, third], results, seeds) == len(needed - finished) == 4
