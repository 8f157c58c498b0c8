"""Finds the cells that may be the best: multiple comparisons with the best (Hsu 1984)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from src.verdict.accuracies import Accuracies, mean_differences
from src.verdict.points import points_text
from src.verdict.statistics import Bools, Floats, rounding_sd
from src.wording import counted, joined

MAX_NAMED = 4  # cells that a sentence names


@dataclass(frozen=True)
class Best:
    """The cells of one dataset that may be the best; accuracies and differences go from 0 to 1.

    A cell is ruled out if another cell is better by a one-sided t test over common seeds.  With k cells each test has
    the level `alpha` / (k - 1), so the best cell is ruled out in at most `alpha` of all sweeps (Hsu 1984): only the
    k - 1 tests against it matter, however it is found.  A cell that is better than every other cell at the level
    `alpha` / 2 is the only candidate.  This is most often false if two cells are equally good and all others are far
    behind, and then in `alpha` of all sweeps (Gutmann and Maymin 1987); it needs no correction for the number of cells.
    """

    dataset: str
    cells: tuple[str, ...]  # all compared cells, by validation accuracy, the highest first
    candidates: tuple[str, ...]  # the cells that may be the best, in the order of `cells`
    behind: dict[str, float]  # by cell: it is at most this much behind the best cell
    choices: int  # number of cells with the most seeds; validation chooses among them
    chosen: tuple[str, ...]  # the cells with the highest mean validation accuracy; more than one if they tie
    validation: float  # mean validation accuracy of the chosen cells
    test: float  # mean test accuracy of the chosen cells
    equal_within: float  # differences up to this size count as equal
    alpha: float  # chance that the best cell is ruled out

    @property
    def decided(self) -> bool:
        """Whether one cell is the best, or all candidates are within `equal_within` of the best."""
        return len(self.candidates) == 1 or self.candidates_equal

    @property
    def candidates_equal(self) -> bool:
        """Whether every candidate is within `equal_within` of the best cell."""
        return max(self.behind[cell] for cell in self.candidates) <= self.equal_within

    @property
    def words(self) -> str:
        """The result as a sentence."""
        count, total = len(self.candidates), len(self.cells)
        if count == 1:
            return f"{self.candidates[0]} is better than {_others_text(total - 1)}"
        everything = "either cell" if total == 2 else f"any of the {total:,} cells"
        named = everything if count == total else joined(list(self.candidates), MAX_NAMED, "or")
        close = f", all within {points_text(self.equal_within)} points of the best"
        return f"The best cell may be {named}{close if self.candidates_equal else ''}"

    @property
    def choice_words(self) -> str:
        """The choice by validation accuracy as a sentence, with its test accuracy."""
        if len(self.cells) == 1:
            accuracies = f"{100 * self.validation:.2f} % in validation and {100 * self.test:.2f} % in the test"
            return f"{self.cells[0]} has an accuracy of {accuracies}"
        some = len(self.cells) > self.choices  # a mean over fewer seeds varies more, so it would be chosen too often
        subject = f"Of the {self.choices:,} cells with all seeds, validation" if some else "Validation"
        named, owner = joined(list(self.chosen), MAX_NAMED), "its" if len(self.chosen) == 1 else "their mean"
        tie = "" if len(self.chosen) == 1 else "equally "
        return (
            f"{subject} {tie}prefers {named} ({100 * self.validation:.2f} %); {owner} test accuracy is "
            f"{100 * self.test:.2f} %"
        )


def _others_text(others: int) -> str:
    return "the other cell" if others == 1 else f"all {counted(others, 'other cell')}"


def find_best(table: Accuracies, alpha: float, equal_within: float, paired: bool = False) -> Best:
    """Return the cells that may be the best of the cells with the same test images; every cell needs two seeds.

    `paired`: contrasts compare every two cells, with the same tests; then no cell is named by the test at `alpha` / 2.
    """
    n, mean, sd = mean_differences(table.test)
    comparable = n > 1
    np.fill_diagonal(comparable, False)
    error = np.maximum(sd, rounding_sd(table.images)) / np.sqrt(np.maximum(n, 1))
    identical = _rows_agree(table)

    def margin(level: float) -> Floats:
        limits: Floats = -special.stdtrit(np.maximum(n - 1, 1), level) * error
        return limits

    def better(level: float) -> Bools:
        """Whether the row's cell is better than the column's."""
        decided: Bools = comparable & ~identical & (mean > margin(level))
        return decided

    level = alpha / max(len(table.cells) - 1, 1)
    may_be_best: Bools = np.asarray(~better(level).any(axis=0))
    alone = better(alpha / 2).sum(axis=1) == len(table.cells) - 1
    if alone.any() and not paired:
        may_be_best = alone
    if not may_be_best.any():  # possible only if the pairs of cells have different seeds
        may_be_best[:] = True
    # The best cell is a candidate, so no cell is further behind it than behind the best-looking candidate.
    lead = np.where(comparable & ~identical, mean + margin(level), np.where(identical, 0.0, 1.0))
    np.fill_diagonal(lead, 0.0)
    behind = np.maximum(lead[may_be_best].max(axis=0), 0.0)
    order = sorted(range(len(table.cells)), key=lambda row: (-round(float(table.validation_means[row]), 12), row))
    most = int(table.seed_counts.max())
    full = [row for row in order if table.seed_counts[row] == most]
    chosen = [row for row in full if table.validation_means[row] > table.validation_means[full[0]] - 1e-12]
    return Best(
        table.dataset,
        tuple(table.cells[row] for row in order),
        tuple(table.cells[row] for row in order if may_be_best[row]),
        {table.cells[row]: float(behind[row]) for row in order},
        len(full),
        tuple(table.cells[row] for row in chosen),
        float(table.validation_means[chosen[0]]),
        float(np.mean(table.means[chosen])),
        equal_within,
        alpha,
    )


def _rows_agree(table: Accuracies) -> Bools:
    """Whether two cells gave bit-identical metrics with every common seed, for every two cells (cells, cells)."""
    numbers = table.measurements
    agree = np.zeros((len(numbers), len(numbers)), dtype=bool)
    for cell, row in enumerate(numbers):
        common = (numbers >= 0) & (row >= 0)
        agree[cell] = common.any(axis=1) & ((numbers == row) | ~common).all(axis=1)
    return agree


@dataclass(frozen=True)
class TunedLevel:
    """A level of a factor with the cell that validation chooses for it; accuracies go from 0 to 1."""

    level: str
    cell: str  # the cell with the highest mean validation accuracy
    settings: int  # number of cells with this level among which validation chooses: those with the most seeds
    validation: float
    test: float
    behind: float  # the cell is at most this much behind the best cell of all levels
    may_be_best: bool  # whether the best cell may have this level


def tuned_levels(best: Best, cells_by_level: Mapping[str, Sequence[str]], table: Accuracies) -> list[TunedLevel]:
    """Return each level with its best other settings, chosen by validation.

    `cells_by_level` lists the cells with each level.  If all cells that may be the best have one level, this level is
    the best one when every level may choose its settings, however many settings it has to choose from: the sentence
    about cells in `best` says so already, so it needs no further test.
    """
    row = {cell: position for position, cell in enumerate(table.cells)}
    most = int(table.seed_counts.max())
    tuned = []
    for level, cells in cells_by_level.items():
        full = [cell for cell in best.cells if cell in cells and table.seed_counts[row[cell]] == most]
        cell = next(iter(full or [cell for cell in best.cells if cell in cells]))
        tuned.append(
            TunedLevel(
                level,
                cell,
                max(len(full), 1),
                float(table.validation_means[row[cell]]),
                float(table.means[row[cell]]),
                best.behind[cell],
                any(candidate in cells for candidate in best.candidates),
            )
        )
    return tuned
