from dataclasses import replace

import numpy as np
import pytest

from benchmarks.made_up_sweeps import Design, as_results, make_up
from src.verdict.methods import Promise
from src.verdict.verdicts import judge
from src.verdict.words import answer_lines, next_lines
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
        lines = [*answer_lines(verdicts), *next_lines(verdicts)]
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
    assert ("Equal within 0.10 points" in text) == bool(by_outcome["equal"])
    assert ("Open: " in text) == bool(by_outcome["open"])
    decided = sorted(by_outcome["better"], key=lambda item: item.p)
    assert all(f"by {item.better_first.size_text}" in text for item in decided[:3])


def test_a_difference_tells_who_is_ahead_whatever_its_sign():
    high, low = [0.98, 0.981, 0.98, 0.981], [0.95, 0.951, 0.951, 0.95]
    texts = [
        " ".join(answer_lines(judge([], results_of({("bn", 0.0): bn, ("gn", 0.0): gn}), {})))
        for bn, gn in ((high, low), (low, high))
    ]
    assert "bn is better than gn by 3.00 points [2." in texts[0]
    assert "gn is better than bn by 3.00 points [2." in texts[1]
    assert not any(" by -" in text for text in texts)


def test_the_margin_is_named_where_methods_are_called_equal():
    base = np.array([0.98, 0.981, 0.982, 0.98, 0.981, 0.982])
    other = base + np.array([1, -1, 0, 1, 0, -1]) * 1e-4
    results = results_of({("bn", 0.0): base, ("gn", 0.0): other})
    text = " ".join(answer_lines(judge([], results, {}, Promise(equal_within=0.002))))
    assert "Equal within 0.20 points: bn vs gn" in text


def test_equal_levels_are_not_said_to_make_all_methods_equal():
    """Each factor makes a difference below the margin, but both together exceed it."""
    noise = np.random.default_rng(0).normal(0, 0.0002, (4, 20))
    effects = {("bn", 0.0): 0, ("bn", 1e-5): 8e-4, ("gn", 0.0): 8e-4, ("gn", 1e-5): 16e-4}
    test = {levels: 0.98 + effect + row for (levels, effect), row in zip(effects.items(), noise, strict=True)}
    margin = Promise(equal_within=0.0012)
    verdicts = judge([], results_of(test), {}, margin)
    verdicts = replace(verdicts, contrasts=tuple(replace(item, low=-0.001, high=0.001) for item in verdicts.contrasts))
    first = answer_lines(verdicts)[0]
    assert "no two levels of norm and l1 differ by more than 0.12 points" in first
    assert "method" not in first
