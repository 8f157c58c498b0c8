"""Lists what a comparison of made-up sweeps says that is false, given the true accuracies."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from benchmarks.made_up_sweeps import Design, MadeUpSweep, as_results, make_up
from src.runs.naming import format_value, short_name
from src.verdict.best import Best
from src.verdict.contrast import CELL, Contrast
from src.verdict.failures import FailureCount, FailureDifference, failure_differences, failures_by_level
from src.verdict.methods import FAILURES_SHARE, Promise, compare_methods
from src.verdict.tuned import tuned_levels
from src.verdict.verdicts import judge
from src.verdict.welch import MIN_SEEDS


@dataclass(frozen=True)
class Statements:
    """Everything that a comparison says about methods."""

    contrasts: Sequence[Contrast] = ()
    interactions: Sequence[Contrast] = ()
    best: Sequence[Best] = ()
    failures: Sequence[FailureDifference] = ()

    @property
    def undecided(self) -> list[Contrast]:
        """The contrasts that more seeds could decide."""
        return [contrast for contrast in self.contrasts if contrast.outcome == "open" and contrast.n > 1]


def compare(sweep: MadeUpSweep, promise: Promise) -> Statements:
    """Compare the methods of a sweep as `src.verdict.verdicts.judge` does, without its frames."""
    failures = failure_differences(_failure_counts(sweep), FAILURES_SHARE * promise.level) if sweep.failed.any() else []
    table = sweep.compared().table
    if not table.cells:
        return Statements(failures=failures)
    return Statements(*compare_methods([table], sweep.design.factors, promise), failures)


def _failure_counts(sweep: MadeUpSweep) -> list[FailureCount]:
    cells, seeds = np.nonzero(sweep.failed | ~np.isnan(sweep.table.test))
    levels = [sweep.table.levels[cell] for cell in cells]
    return failures_by_level(levels, seeds.tolist(), sweep.failed[cells, seeds].tolist(), sweep.design.factors)


def false_statements(sweep: MadeUpSweep, statements: Statements) -> Iterator[str]:
    """Yield the kind of each statement that is false; `interval` for each interval that misses the truth."""
    compared = sweep.compared()
    for contrast in (*statements.contrasts, *statements.interactions):
        if contrast.low is None or contrast.high is None:
            continue
        truth = true_difference(compared, contrast)
        if contrast.outcome == "better" and (abs(truth) < 1e-9 or (truth > 0) != (contrast.low > 0)):
            yield "interaction" if contrast.is_interaction else "better"
        if contrast.outcome == "equal" and abs(truth) > contrast.equal_within - 1e-9:
            yield "equal"
        if not contrast.low - 1e-9 <= truth <= contrast.high + 1e-9:
            yield "interval"
    for best in statements.best:
        yield from _false_about_best(compared, best)
    for _ in statements.failures:  # all methods fail equally often
        yield "failure"


def true_difference(sweep: MadeUpSweep, contrast: Contrast) -> float:
    """Return the true difference, averaged over the settings that have a common seed."""
    if sweep.design.effect == "none":
        return 0.0
    if contrast.factor == CELL:
        first, second = (sweep.table.cells.index(name) for name in (contrast.first, contrast.second))
        return float(sweep.truth[first] - sweep.truth[second])
    factors = [short_name(path, sweep.design.factors) for path in sweep.design.factors]
    positions = [factors.index(name) for name in contrast.factors]
    fixed_levels = [tuple(part.split("=")) for part in contrast.setting.split(", ") if part]
    rows = {tuple(map(format_value, levels)): row for row, levels in enumerate(sweep.table.levels)}
    level_pairs = list(zip(contrast.first_levels, contrast.second_levels, strict=True))
    has_accuracy = ~np.isnan(sweep.table.test)
    differences = []
    for levels in rows:
        if any(levels[position] != level_pair[0] for position, level_pair in zip(positions, level_pairs, strict=True)):
            continue
        if any(levels[factors.index(factor)] != level for factor, level in fixed_levels):
            continue
        corners, corner_signs = [], []
        for sides in product((0, 1), repeat=len(positions)):
            corner = list(levels)
            for position, level_pair, side in zip(positions, level_pairs, sides, strict=True):
                corner[position] = level_pair[side]
            corners.append(rows.get(tuple(corner), -1))
            corner_signs.append((-1) ** sum(sides))
        if min(corners) < 0:
            continue
        runs = has_accuracy[corners]  # (corners, seeds)
        # Welch's intervals compare the means of cells with two runs or more, which need not share a seed.
        if (runs.sum(axis=1) >= MIN_SEEDS).all() if contrast.welch else runs.all(axis=0).any():
            differences.append(float(np.dot(corner_signs, sweep.truth[corners])))
    return float(np.mean(differences))


def _false_about_best(sweep: MadeUpSweep, best: Best) -> Iterator[str]:
    truth = dict(zip(sweep.table.cells, sweep.truth.tolist(), strict=True))
    highest = max(truth.values())
    leaders = {cell for cell, value in truth.items() if value > highest - 1e-9}
    if not leaders.intersection(best.candidates) or (len(best.candidates) == 1 and len(leaders) > 1):
        yield "best"
    if best.candidates_equal and any(truth[cell] < highest - best.equal_within - 1e-9 for cell in best.candidates):
        yield "equal"
    if any(truth[cell] < highest - behind - 1e-9 for cell, behind in best.behind.items()):
        yield "interval"
    cells_and_levels = list(zip(sweep.table.cells, sweep.table.levels, strict=True))
    for position in range(len(sweep.design.shape)):
        named = [(format_value(levels[position]), cell) for cell, levels in cells_and_levels]
        cells = {level: [cell for other, cell in named if other == level] for level, _ in named}
        found_levels = {row.level for row in tuned_levels(best, cells, sweep.table) if row.may_be_best}
        true_levels = {level for level, level_cells in cells.items() if leaders.intersection(level_cells)}
        if not found_levels & true_levels or (len(found_levels) == 1 and len(true_levels) > 1):
            yield "tuned"


def check_against_judge(designs: Sequence[Design]) -> None:
    """Raise AssertionError if `judge` says anything else about the runs' frames than the simulation counts."""
    generator = np.random.default_rng(3)
    for design in designs:
        sweep = make_up(design, generator)
        statements, verdicts = compare(sweep, Promise()), judge([], as_results(sweep), {})
        for expected, actual in (
            (statements.contrasts, verdicts.contrasts),
            (statements.interactions, verdicts.interactions),
            (statements.best, verdicts.best),
            (statements.failures, verdicts.failure_differences),
        ):
            assert _rounded(repr([*expected])) == _rounded(repr([*actual])), (design, expected, actual)


def _rounded(text: str) -> str:
    """Round all numbers in a text: sums of the same numbers can differ in their last bits."""
    return re.sub(r"\d+\.\d+(e-\d+)?", lambda number: f"{float(number[0]):.9f}", text)
