import re
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.made_up_sweeps import Design, as_results, make_up
from src.report.statements import best_sentences
from src.runs.sweep import PlannedJob, Sweep
from src.verdict.methods import Promise
from src.verdict.verdicts import judge
from src.verdict.words import answer_lines, next_step
from src.wording import joined
from tests.verdict.made_up import results_of

DESIGNS = [
    Design(),
    Design((2,), 3, "one level 0.3 points better"),
    Design((6,), 10, "half of the cells 0.3 points better"),
    Design((18,), 5, "one cell 0.5 points better"),
    Design((3, 2), 10, "crossing, 0.2 points"),
    Design((3, 3, 2), 20, "one level 0.1 points better"),
    Design((3, 2), 5, failed=0.4, failure="collapsed"),
]


@pytest.mark.parametrize("design", DESIGNS)
def test_an_answer_has_at_most_six_lines_and_says_nothing_twice(design):
    generator = np.random.default_rng(4)
    for _ in range(5):
        verdicts = judge([], as_results(make_up(design, generator)), {})
        lines = [*answer_lines(verdicts), *next_step(verdicts).lines]
        assert len(lines) <= 6
        assert all(line.endswith(".") and "nan" not in line.lower() and ".." not in line for line in lines)
        sentences = [sentence for line in lines for sentence in line.removesuffix(".").split(".  ")]
        assert len(set(sentences)) == len(sentences)


@pytest.mark.parametrize("design", DESIGNS)
def test_each_contrast_is_decided_equal_or_open_in_the_answer(design):
    verdicts = judge([], as_results(make_up(design, np.random.default_rng(4))), {})
    text = " ".join(answer_lines(verdicts))
    by_outcome = {"better": [], "equal": [], "open": []}
    for item in verdicts.contrasts:
        by_outcome[item.outcome].append(item)
    assert ("equal within 0.10 points" in text) == bool(by_outcome["equal"])
    assert ("Still open: " in text) == bool(by_outcome["open"])
    nothing = bool(by_outcome["open"]) and not by_outcome["better"] and not by_outcome["equal"]
    assert ("no significant differences" in text) == nothing
    turned = [item.better_first for item in sorted(by_outcome["better"], key=lambda item: item.p)]
    pairs = {item.labels for item in turned}
    implied = {(a, c) for a, b in pairs for other, c in pairs if b == other}
    for item in [item for item in turned if item.labels not in implied][:3]:
        winner, loser = item.labels
        assert f"{winner} beats " in text
        assert f"{loser} by {100 * item.low:.2f}\N{EN DASH}{100 * item.high:.2f}" in text


def test_a_difference_tells_who_is_ahead_whatever_its_sign():
    high, low = [0.98, 0.981, 0.98, 0.981], [0.95, 0.951, 0.951, 0.95]
    texts = [
        " ".join(answer_lines(judge([], results_of({("bn", 0.0): bn, ("gn", 0.0): gn}), {})))
        for bn, gn in ((high, low), (low, high))
    ]
    assert "bn beats gn by 2." in texts[0]
    assert "gn beats bn by 2." in texts[1]
    assert not any(" by -" in text for text in texts)


def test_the_margin_is_named_where_methods_are_called_equal():
    base = np.array([0.98, 0.981, 0.982, 0.98, 0.981, 0.982])
    other = base + np.array([1, -1, 0, 1, 0, -1]) * 1e-4
    results = results_of({("bn", 0.0): base, ("gn", 0.0): other})
    text = " ".join(answer_lines(judge([], results, {}, Promise(equal_within=0.002))))
    assert "bn and gn are equal within 0.20 points" in text


def noisy(effects, spread, seeds, seed=0):
    """Accuracies around 98 %, with an effect for each cell."""
    noise = np.random.default_rng(seed).normal(0, spread, (len(effects), seeds))
    return {levels: 0.98 + effect + row for (levels, effect), row in zip(effects.items(), noise, strict=True)}


def test_all_open_pairs_of_some_levels_are_one_question():
    cells = [(norm, l1) for norm in ("bn", "gn", "ln") for l1 in (0.0, 1e-5)]
    (first, second, _) = answer_lines(judge([], results_of(noisy(dict.fromkeys(cells, 0.0), 0.002, 5)), {}))
    assert first == "5 seeds: no significant differences."
    assert second == "Still open: bn vs gn vs ln, l1=0 vs l1=1e-05 (averaged over other settings)."
    effects = {(norm, l1): 0.005 * (norm == "ln") for norm, l1 in cells}
    verdicts = judge([], results_of(noisy(effects, 0.001, 5)), {})
    assert {item.outcome for item in verdicts.contrasts if "ln" in item.labels} == {"better"}
    assert "Still open: bn vs gn, l1=0 vs l1=1e-05 (averaged over" in answer_lines(verdicts)[1]


def test_a_ranking_is_told_by_its_steps():
    """That bn beats ln follows from the others."""
    effects = {("bn", 0.0): 0.006, ("gn", 0.0): 0.003, ("ln", 0.0): 0.0}
    verdicts = judge([], results_of(noisy(effects, 0.0003, 5)), {})
    assert [item.outcome for item in verdicts.contrasts] == ["better"] * 3
    text = answer_lines(verdicts)[0]
    assert re.fullmatch(
        r"5 seeds: [bg]n beats [gl]n by [\d.\N{EN DASH}]+ points; [bg]n beats [gl]n by [\d.\N{EN DASH}]+ \(95 % CI\)\.",
        text,
    )


def test_a_cell_that_beats_all_others_leaves_open_only_by_how_much():
    """The test of the best cell needs no correction for the number of cells, so it can decide what contrasts cannot."""
    effects = {(f"m{k}", 0.0): 0.0022 * (k == 0) for k in range(7)}
    verdicts = judge([], results_of(noisy(effects, 0.0006, 5)), {})
    assert len(verdicts.best[0].candidates) == 1
    undecided = [item.second for item in verdicts.open_contrasts if item.first == "m0"]
    assert undecided
    text = " ".join(answer_lines(verdicts))
    assert "which beats all 6 others" in text
    assert "m0 vs" not in text
    assert f"by how much m0 beats {undecided[0]}" in text


def test_more_than_twelve_levels_ask_only_for_the_best_cell():
    effects = {(f"m{k:02}", 0.0): 0.02 * (k < 2) for k in range(14)}
    verdicts = judge([], results_of(noisy(effects, 0.002, 5)), {})
    assert verdicts.contrasts == ()
    first, second = answer_lines(verdicts)
    assert first == f"5 seeds: the best cell may be {' or '.join(verdicts.best[0].candidates)}."
    assert second.startswith("Choose " if verdicts.advice.hopeless else "For now, choose ")
    alone = judge(
        [],
        results_of(noisy({levels: effect * (levels[0] == "m00") for levels, effect in effects.items()}, 0.0004, 5)),
        {},
    )
    (only,) = answer_lines(alone)
    assert only.startswith("5 seeds: choose ")
    assert "which beats all 13 others" in only


def test_the_first_line_names_the_cells_that_may_be_the_best_if_most_of_many_are_ruled_out():
    cells = [(f"m{k}", l1) for k in range(4) for l1 in (0.0, 1e-5, 1e-4)]
    few = judge([], results_of(noisy({levels: 0.01 * (levels[0] == "m0") for levels in cells}, 0.0004, 5)), {})
    (best,) = few.best
    assert all("'m0'" in cell for cell in best.candidates)
    assert 1 < len(best.candidates) <= 3
    assert answer_lines(few)[0].startswith(f"5 seeds: the best cell may be {joined(best.candidates, 3, 'or')}")
    assert best_sentences(few) == []
    many = judge([], results_of(noisy(dict.fromkeys(cells, 0.0), 0.002, 5)), {})
    assert len(many.best[0].candidates) > 6
    assert "may be" not in answer_lines(many)[0]
    assert best_sentences(many) == [f"{many.best[0].sentence}."]


def test_equal_levels_are_not_said_to_make_all_methods_equal():
    """Each factor makes a difference below the margin, but both together exceed it."""
    noise = np.random.default_rng(0).normal(0, 0.0002, (4, 20))
    effects = {("bn", 0.0): 0, ("bn", 1e-5): 8e-4, ("gn", 0.0): 8e-4, ("gn", 1e-5): 16e-4}
    test = {levels: 0.98 + effect + row for (levels, effect), row in zip(effects.items(), noise, strict=True)}
    margin = Promise(equal_within=0.0012)
    verdicts = judge([], results_of(test), {}, margin)
    verdicts = replace(verdicts, contrasts=tuple(replace(item, low=-0.001, high=0.001) for item in verdicts.contrasts))
    first = answer_lines(verdicts)[0]
    assert first.startswith(
        "20 seeds: bn and gn are equal within 0.12 points, and so are l1=0 and l1=1e-05 (averaged over"
    )
    assert "method" not in first


@pytest.mark.parametrize(
    "effects",
    [
        {},
        {"ln": -0.001},
        {"bn": 0.001, "gn": 0.0005},
        {"bn": 0.003, "ln": -0.003},
        {"1e-05": 0.0007},
        {"bn l1=0": 0.004},
    ],
)
@pytest.mark.parametrize("spread", [0.0002, 0.0007, 0.003])
def test_six_methods_rarely_need_more_than_six_lines_of_a_narrow_terminal_besides_the_table(effects, spread):
    for seed in range(3):
        verdicts = six_methods(effects, spread, seed)
        lines = [wrapped for line in answer_lines(verdicts) for wrapped in textwrap.wrap(line, 80)]
        for line in next_step(verdicts).lines:
            text, _, command = line.partition(":  ")
            lines += textwrap.wrap(text, 80) + [command] * bool(command)
        outcomes = {item.outcome for item in verdicts.contrasts}
        limit = 5 + (len(outcomes) == 3) + 3 * bool(verdicts.interactions)  # and one line with the path of the report
        assert len(lines) <= limit, lines


def six_methods(effects, spread, seed):
    """Verdicts about three norms with two strengths of L1; `effects` raise the accuracy of cells with these words."""
    cells = {f"{norm} l1={l1}": (norm, float(l1)) for norm in ("bn", "gn", "ln") for l1 in ("0", "1e-05")}
    raised = {levels: sum(size for word, size in effects.items() if word in name) for name, levels in cells.items()}
    results = results_of(noisy(raised, spread, 5, seed=seed))
    runs = results.runs.assign(
        cell=[name for name in cells for _ in range(5)], job=results.runs["run"], cell_key=results.runs["cell"]
    )
    jobs = [PlannedJob(f"a {cells[name]} s{k}", "", f"{name} s{k}", name, {}) for name in cells for k in range(5)]
    command = "python -m src.train -m norm=bn,gn,ln reg.l1=0,1e-5 seeds=5"
    sweep = Sweep("0" * 64, command, 1, ["norm.name", "reg.l1", "seed"], jobs)
    verdicts = judge([sweep], replace(results, runs=runs), {})
    return replace(verdicts, cost=f"{verdicts.cost}, ~30 min" if verdicts.cost else "")
