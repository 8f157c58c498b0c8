import numpy as np
import pytest
from scipy import stats

from benchmarks.made_up_sweeps import Design
from benchmarks.verdicts import measure
from src.verdict.failures import chance_level, count_failures, failure_differences, failures_by_level, failures_sentence

FACTORS = ("norm.name", "reg.l1")


def counts_of(failed, seeds=12, norms=("bn", "none"), l1=(0.0, 1e-5)):
    """Every combination with every seed; `failed` says of a norm, an L1 and a seed whether the run failed."""
    runs = [(norm, penalty, seed) for norm in norms for penalty in l1 for seed in range(seeds)]
    return failures_by_level(
        [run[:2] for run in runs], [run[2] for run in runs], [failed(*run) for run in runs], FACTORS
    )


def test_failed_runs_are_counted_by_level_and_by_seed():
    counts = counts_of(lambda norm, l1, seed: norm == "none" and (seed < 3 or (seed == 5 and l1 > 0)))
    found = {(c.factor, c.level): (c.failed_run_count, c.run_count, c.failed_seed_count) for c in counts}
    assert found == {
        ("norm", "bn"): (0, 24, 0),
        ("norm", "none"): (7, 24, 4),
        ("l1", "0"): (3, 24, 3),
        ("l1", "1e-05"): (4, 24, 4),
    }


@pytest.mark.parametrize("bad", [2, 6, 9, 12])
def test_levels_differ_by_fishers_test_of_their_seeds(bad):
    counts = counts_of(lambda norm, l1, seed: norm == "none" and seed < bad)
    expected = stats.fisher_exact([[0, 12], [bad, 12 - bad]]).pvalue
    found = failure_differences(counts, 0.05)
    assert bool(found) == (expected < 0.05 / 2)  # two pairs: of norms and of L1
    for difference in found:
        assert (difference.more.level, difference.less.level) == ("none", "bn")
        assert difference.p == pytest.approx(expected)
        assert f"none fails more often than bn: in {bad} of 12 seeds against 0 of 12" in difference.sentence


def test_runs_that_fail_together_count_once():
    """Two seeds of five with which a norm fails at every setting are 40 % of its runs, but only two events."""
    counts = counts_of(lambda norm, l1, seed: norm == "none" and seed < 2, 5, l1=[float(k) for k in range(9)])
    assert stats.fisher_exact([[0, 45], [18, 27]]).pvalue < 1e-5
    assert not failure_differences(counts, 0.05)


def test_levels_with_other_settings_are_not_compared():
    levels = [("bn", 0.0)] * 12 + [("none", 1.0)] * 12
    counts = failures_by_level(levels, [*range(12)] * 2, [False] * 12 + [True] * 12, FACTORS)
    assert not failure_differences(counts, 0.05)


def test_a_key_that_a_run_does_not_read_is_not_counted():
    rows = [{"norm.name": "none", "norm.groups": None, "seed": 0}]
    rows += [{"norm.name": "gn", "norm.groups": groups, "seed": 0} for groups in (2, 4)]
    counts = count_failures(rows, [True, False, False], ["norm.name", "norm.groups"])
    assert [(count.factor, count.level, count.run_count) for count in counts] == [
        *(("norm", "gn", 2), ("norm", "none", 1)),
        *(("groups", "2", 1), ("groups", "4", 1)),
    ]


def test_the_sentence_tells_how_many_failed_and_where():
    counts = counts_of(lambda norm, l1, seed: norm == "none" and seed < 11)
    sentence = failures_sentence(22, 48, counts, failure_differences(counts, 0.05))
    assert sentence.startswith("22 of 48 runs failed or learned nothing (none: 22 of 24")
    assert "none fails more often than bn" in sentence
    assert failures_sentence(0, 48, [], []) == ""


def test_a_network_that_guesses_rarely_exceeds_the_chance_level():
    guesses = np.random.default_rng(0).binomial(10_000, 0.1, 20_000) / 10_000
    above = np.mean(guesses > chance_level(0.1, 10_000))
    assert above == pytest.approx(stats.norm.sf(3), abs=0.001)


def test_methods_that_fail_alike_are_seldom_said_to_differ():
    design = Design((3, 3, 2), 10, failed=0.2, failure="by seed")
    assert measure("failed runs", "", design, 60).kinds.get("failure", 0) * 60 <= stats.binom.isf(0.001, 60, 0.05)
