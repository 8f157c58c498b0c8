from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from src.runs.seeds import without_seeds
from src.runs.sweep import PlannedJob, Sweep
from src.verdict.advice import advise, advise_one_seed, best_questions
from src.verdict.best import find_best
from src.verdict.commands import command_for_more_seeds, command_with_seeds
from src.verdict.contrasts import factor_contrasts, with_intervals
from tests.verdict.made_up import accuracies_of


def sweep_of(command, seeds=(0, 1, 2), cells=("bn", "gn")):
    jobs = [PlannedJob(f"{cell}{seed}", "", f"{cell} s{seed}", cell, {}) for cell in cells for seed in seeds]
    return Sweep("0" * 64, command, 1, ["norm.name", "seed"], jobs)


def contrasts_of(sd, seeds=5, levels=3):
    """Contrasts of levels that hardly differ; `sd` is in percentage points."""
    generator = np.random.default_rng(7)
    grid = {(f"m{level}", 0.0): 0.9 + generator.normal(0, sd / 100, seeds) for level in range(levels)}
    return with_intervals(factor_contrasts(accuracies_of(grid), ["norm.name"], 0.001), 0.04)


@pytest.mark.parametrize("share", [1.0, 0.05])
def test_the_suggested_seeds_decide_the_contrast_that_needs_most(share):
    contrasts = contrasts_of(0.05)
    advice = advise([sweep_of("python -m src.train norm=bn,gn")], contrasts, share, 1)

    def enough(contrast, n):
        """Whether the interval of equal methods lies within the margin in 80 % of sweeps: t of 0.9 and of the level."""
        quantiles = stats.t.ppf(0.9, n - 1) + stats.t.isf(contrast.alpha * share / 2, n - 1)
        return quantiles * contrast.sd / n**0.5 <= contrast.equal_within

    decidable = [item for item in contrasts if any(enough(item, n) for n in range(6, 21))]
    assert decidable
    needed = max(next(n for n in range(6, 21) if enough(item, n)) for item in decidable)
    assert advice.seeds == needed
    assert advice.reason == f"To decide more, train {needed} seeds"
    assert f"decide {len(decidable)} of {len(contrasts)} open questions" in advice.detail
    assert advice.look == 2
    assert advice.command == f"python -m src.train norm=bn,gn seeds={needed}"


def test_the_advice_tells_how_uncertain_the_number_of_seeds_is():
    (contrast,) = contrasts_of(0.08, levels=2)
    (advice, low, high) = (
        advise([], [replace(contrast, differences=tuple(np.array(contrast.differences) * factor))], 1.0, 1)
        for factor in (1.0, *((4 / stats.chi2.isf(tail, 4)) ** 0.5 for tail in (0.1, 0.9)))
    )
    assert low.seeds < advice.seeds
    assert f"{low.seeds} to {high.seeds}" in advice.note or advice.note == f"likely {low.seeds}+"


def test_hopeless_questions_are_told_what_the_most_seeds_would_show():
    contrasts = [
        replace(item, differences=tuple(np.array(item.differences) - item.difference)) for item in contrasts_of(2.0)
    ]
    advice = advise([], contrasts, 1.0, 1)
    assert advice.command is None
    largest = max(contrast.sd for contrast in contrasts)
    size = (stats.t.ppf(0.9, 19) + stats.t.isf(contrasts[0].alpha / 2, 19)) * largest / 20**0.5
    assert "even 20 detect" in advice.reason
    assert advice.reason.endswith(f"above about {100 * size:.2f} points")


def test_a_hopeless_factor_with_small_differences_between_seeds_does_not_speak_for_the_others():
    (noisy,) = contrasts_of(2.0, levels=2)
    noisy = replace(noisy, differences=tuple(np.array(noisy.differences) - noisy.difference))
    quiet = replace(noisy, factors=("l1",), differences=tuple(np.array(noisy.differences) / 10))
    size = 100 * (stats.t.ppf(0.9, 19) + stats.t.isf(noisy.alpha / 2, 19)) * noisy.sd / 20**0.5
    reason = advise([], [quiet, noisy], 1.0, 1).reason
    assert reason.endswith(f"above about {size / 10:.2f} points (l1) and {size:.2f} points (norm)")


def test_a_large_observed_difference_needs_only_the_seeds_that_would_show_it():
    (contrast,) = contrasts_of(2.0, levels=2)
    clear = replace(contrast, differences=tuple(np.array(contrast.differences) - contrast.difference + 0.03))
    quantiles = [stats.t.ppf(0.9, n - 1) + stats.t.isf(clear.alpha / 2, n - 1) for n in range(6, 21)]
    needed = next(
        n for n, quantile in zip(range(6, 21), quantiles, strict=True) if quantile * clear.sd / n**0.5 <= 0.03
    )
    assert advise([], [clear], 1.0, 1).seeds == needed


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ('["seed=7"]', None),
        ('["seed=0,1 norm=bn"]', '["norm=bn"]'),
        ('["seed=7","norm=gn"]', '["norm=gn"]'),
        ('["norm=gn","seed=7"]', '["norm=gn"]'),
    ],
)
def test_seeds_leave_no_empty_cell_in_a_command(cells, expected):
    words = without_seeds([f"sweep.cells={cells}", "epochs=2"])
    assert words == ([f"sweep.cells={expected}"] if expected else []) + ["epochs=2"]


def test_one_seed_is_followed_by_five():
    advice = advise_one_seed([sweep_of("python -m src.train norm=bn,gn", seeds=[0])])
    assert advice.seeds == 5
    assert advice.command == "python -m src.train norm=bn,gn seeds=5"


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
    assert command_for_more_seeds([sweep_of(f"python -m src.train {typed}")], 8) == f"python -m src.train {expected}"


def test_seeds_that_do_not_begin_at_zero_are_kept_and_listed():
    sweep = sweep_of("python -m src.train norm=bn,gn seed=1,42", seeds=(1, 42))
    assert command_for_more_seeds([sweep], 4) == "python -m src.train norm=bn,gn seed=0,1,2,42"


def test_each_sweep_gets_the_seeds_that_it_lacks():
    first = sweep_of("python -m src.train norm=bn seeds=5", seeds=range(5), cells=["bn"])
    second = sweep_of("python -m src.train norm=gn seeds=3", cells=["gn"])
    assert command_for_more_seeds([first, second], 5) == "python -m src.train norm=gn seeds=5"
    expected = "python -m src.train norm=bn seeds=6\npython -m src.train norm=gn seeds=6"
    assert command_for_more_seeds([first, second], 6) == expected


def test_a_sweep_with_cells_that_lack_seeds_of_others_is_completed():
    jobs = [*sweep_of("", range(5), ["bn"]).jobs, *sweep_of("", [0], ["gn"]).jobs]
    sweep = replace(sweep_of("""python -m src.train 'sweep.cells=["norm=bn seed=0,1,2,3,4","norm=gn"]'"""), jobs=jobs)
    expected = """python -m src.train 'sweep.cells=["norm=bn","norm=gn"]' seeds=5"""
    assert command_for_more_seeds([sweep], 5) == expected


@pytest.mark.parametrize("seed", range(4))
def test_the_seeds_for_the_best_cell_rule_out_or_equal_each_other_candidate(seed):
    values = 0.9 + np.random.default_rng(seed).normal(0, 0.0006, (14, 5))
    values[8:] -= 0.05  # six cells that are ruled out
    grid = {(f"m{cell}", 0.0): row for cell, row in enumerate(values)}
    table = accuracies_of(grid)
    best = find_best(table, 0.05, 0.001)
    questions = best_questions(best, table)
    top = max(range(8), key=lambda row: values[row].mean())
    assert {item.first for item in questions} == {table.cells[top]}
    assert {item.second for item in questions} == {*best.candidates} - {table.cells[top]}
    advice = advise([], questions, 1.0, 1)

    def rules_out(item, n):
        """Whether the one-sided interval of Hsu's test, at its level, is short enough in 80 % of sweeps."""
        quantiles = stats.t.ppf(0.9, n - 1) + stats.t.isf(0.05 / 13, n - 1)
        return quantiles * item.sd / n**0.5 <= max(0.001, item.difference)

    needed = [next((n for n in range(6, 21) if rules_out(item, n)), None) for item in questions]
    assert advice.seeds == max(filter(None, needed))


def test_requested_seeds_that_have_not_finished_need_no_new_command():
    assert command_for_more_seeds([sweep_of("python -m src.train norm=bn,gn seeds=3")], 3) is None


def test_the_command_allows_the_number_of_its_jobs():
    sweep = sweep_of("python -m src.train norm=bn,gn seeds=90 sweep.max_jobs=200", seeds=range(90))
    assert command_with_seeds(sweep, range(110)) == "python -m src.train norm=bn,gn seeds=110 sweep.max_jobs=220"


def test_a_search_cannot_be_given_more_seeds():
    sweep = sweep_of("python -m src.train hydra/sweeper=optuna 'optimizer.lr=interval(0.1,1)'")
    assert command_for_more_seeds([sweep], 5) is None
