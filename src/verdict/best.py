"""Finds the cells that may be the best: multiple comparisons with the best (Hsu 1984)."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from src.results.statistics import Bools, Floats, rounding_sd
from src.verdict.accuracies import Accuracies, mean_differences
from src.verdict.points import ACCURACY, Measure
from src.verdict.welch import MIN_SEEDS
from src.wording import joined

MAX_NAMED = 4  # cells that a sentence names
MANY_CELLS = 8  # a reader of the table sees at once which ones of fewer cells may be the best


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
    chosen: tuple[str, ...]  # the cells with the highest mean validation accuracy; empty without validation
    validation: float  # mean validation accuracy of the chosen cells
    test: float  # mean test accuracy of the chosen cells
    equal_within: float  # differences up to this size count as equal
    alpha: float  # chance that the best cell is ruled out
    measure: Measure = ACCURACY

    @property
    def decided(self) -> bool:
        """Whether one cell is the best, or all candidates are within `equal_within` of the best."""
        return len(self.candidates) == 1 or self.candidates_equal

    @property
    def candidates_equal(self) -> bool:
        """Whether every candidate is within `equal_within` of the best cell."""
        return max(self.behind[cell] for cell in self.candidates) <= self.equal_within

    @property
    def rules_out_most(self) -> bool:
        """Whether several of many cells may be the best, but fewer than half of them."""
        return len(self.cells) >= MANY_CELLS and 1 < len(self.candidates) < len(self.cells) / 2

    @property
    def sentence(self) -> str:
        """Which cells may be the best, as a sentence."""
        candidate_count, cell_count = len(self.candidates), len(self.cells)
        if candidate_count == 1:
            return f"{self.candidates[0]} beats {_others_text(cell_count - 1)}"
        margin = self.measure.difference_text(self.equal_within)
        equal_text = f", all within {margin} of the best" if self.candidates_equal else ""
        if candidate_count == cell_count:
            all_cells = "either cell" if cell_count == 2 else f"any of the {cell_count:,} cells"
            return f"The best cell may be {all_cells}{equal_text}"
        if candidate_count > MAX_NAMED:
            return f"{candidate_count:,} of the {cell_count:,} cells may be the best{equal_text}"
        return f"The best cell may be {joined(list(self.candidates), MAX_NAMED, 'or')}{equal_text}"

    @property
    def choice_sentence(self) -> str:
        """The choice by validation accuracy as a sentence, with its test accuracy; empty without validation."""
        return self.choice_text(for_now=not self.decided)

    def choice_text(self, *, for_now: bool) -> str:
        """Return the choice by validation accuracy, with its test accuracy; `for_now`: more seeds may change it.

        Empty without validation.
        """
        if not self.chosen:
            return ""
        names, several = joined(list(self.chosen), MAX_NAMED, "or"), len(self.chosen) > 1
        validation, test = f"{100 * self.validation:.2f} %", f"{100 * self.test:.2f} %"
        if len(self.cells) == 1:
            return f"{names} has an accuracy of {validation} in validation and {test} in the test"
        some = len(self.cells) > self.choices  # a mean over fewer seeds varies more, so it would be chosen too often
        alone = f", the only cell with all seeds (validation {validation}, test {test})"
        if not set(self.chosen) <= set(self.candidates):
            ahead = f"{self.candidates[0]} is better" if len(self.candidates) == 1 else "other cells are better"
            if some and self.choices == 1:
                return f"Validation can choose only {names}{alone}, but {ahead} in the test"
            subject = f"Of the {self.choices:,} cells with all seeds, validation" if some else "Validation"
            names = joined(list(self.chosen), MAX_NAMED) + " equally" * several
            return f"{subject} prefers {names} ({validation}; test {test}), but {ahead} in the test"
        choose = "For now, choose" if for_now else "Choose"
        if len(self.candidates) == 1 and len(self.cells) > 2:
            others = _others_text(len(self.cells) - 1)
            return f"{choose} {names}, which beats {others} (validation {validation}, test {test})"
        if len(self.chosen) > 2:
            return f"{len(self.chosen)} cells share the best validation accuracy ({validation}; mean test {test})"
        if some and self.choices == 1:
            return f"{choose} {names}{alone}"
        reason = "equal and best validation accuracy" if several else "best validation accuracy"
        some_text = f" of the {self.choices:,} cells with all seeds" if some else ""
        return f"{choose} {names}: {reason}{some_text} ({validation}; {'mean ' * several}test {test})"


def _others_text(count: int) -> str:
    return {1: "the other cell", 2: "both others"}.get(count, f"all {count:,} others")


def find_best(table: Accuracies, alpha: float, equal_within: float, pairs_compared: bool = False) -> Best:
    """Return the cells that may be the best of the cells with the same test images; every cell needs two seeds.

    `pairs_compared`: contrasts compare every two cells with the same tests, so the test at `alpha` / 2 names no cell.
    """
    means, standard_error, degrees = _pairwise_differences(table)
    identical = _identical_cells(table)
    comparable = np.multiply.outer(table.seed_counts > 1, table.seed_counts > 1) & ~identical
    # The row's cell is better than the column's if the mean difference exceeds the margin.
    margin = -special.stdtrit(degrees, alpha / max(len(table.cells) - 1, 1)) * standard_error
    may_be_best: Bools = np.asarray(~(comparable & (means > margin)).any(axis=0))
    is_better = comparable & (means > -special.stdtrit(degrees, alpha / 2) * standard_error)
    beats_all_others = is_better.sum(axis=1) == len(table.cells) - 1
    if beats_all_others.any() and not pairs_compared:
        may_be_best = beats_all_others
    if not may_be_best.any():  # possible only if the pairs of cells have different seeds
        may_be_best[:] = True
    # The best cell is a candidate, so no cell is further behind it than behind the best-looking candidate.
    largest_lead = np.where(comparable, means + margin, np.where(identical, 0.0, 1.0))
    np.fill_diagonal(largest_lead, 0.0)
    behind = np.maximum(largest_lead[may_be_best].max(axis=0), 0.0)
    ranked_rows = sorted(range(len(table.cells)), key=lambda row: (-round(float(table.validation_means[row]), 12), row))
    max_seeds = int(table.seed_counts.max())
    complete = [row for row in ranked_rows if table.seed_counts[row] == max_seeds]
    chosen_rows = [row for row in complete if table.validation_means[row] > table.validation_means[complete[0]] - 1e-12]
    return Best(
        table.dataset,
        tuple(table.cells[row] for row in ranked_rows),
        tuple(table.cells[row] for row in ranked_rows if may_be_best[row]),
        {table.cells[row]: float(behind[row]) for row in ranked_rows},
        len(complete),
        tuple(table.cells[row] for row in chosen_rows) if table.has_validation else (),
        float(table.validation_means[chosen_rows[0]]),
        float(np.mean(table.means[chosen_rows])),
        equal_within,
        alpha,
        table.measure,
    )


def _pairwise_differences(table: Accuracies) -> tuple[Floats, Floats, Floats]:
    """For every two cells: the mean difference, row minus column, its standard error and its degrees of freedom.

    Cells that share fewer than two seeds are independent samples (Welch 1947).  The results are arrays (cells, cells);
    those of a cell with one seed mean nothing.
    """
    seed_counts, means, sds = mean_differences(table.test)
    standard_error = np.maximum(sds, rounding_sd(table.images)) / np.sqrt(np.maximum(seed_counts, 1))
    degrees = np.maximum(seed_counts - 1.0, 1.0)
    unpaired = seed_counts < 2
    if unpaired.any():
        freedom = np.maximum(table.seed_counts - 1, 1)
        sd = np.sqrt(np.nansum((table.test - table.means[:, None]) ** 2, axis=1) / freedom)
        variance = np.maximum(sd, rounding_sd(table.images, 1)) ** 2 / table.seed_counts
        both = variance[:, None] + variance
        squares = variance**2 / freedom
        means = np.where(unpaired, table.means[:, None] - table.means, means)
        standard_error = np.where(unpaired, np.sqrt(both), standard_error)
        has_few = np.minimum.outer(table.seed_counts, table.seed_counts) <= MIN_SEEDS
        satterthwaite = np.where(has_few, 1.0, both**2 / (squares[:, None] + squares))
        degrees = np.where(unpaired, satterthwaite, degrees)
    return means, standard_error, degrees


def _identical_cells(table: Accuracies) -> Bools:
    """Whether two cells gave bit-identical metrics with every common seed, for every two cells (cells, cells)."""
    measurements = table.measurements
    identical = np.zeros((len(measurements), len(measurements)), dtype=bool)
    for cell, row in enumerate(measurements):
        common = (measurements >= 0) & (row >= 0)
        identical[cell] = common.any(axis=1) & ((measurements == row) | ~common).all(axis=1)
    return identical
