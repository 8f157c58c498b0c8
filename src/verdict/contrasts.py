"""Compares the levels of each factor, such as the norms, averaged over the settings of all other factors."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from src.runs.naming import format_value, short_name
from src.verdict.accuracies import NOT_READ, Accuracies, Levels, level_sort_key, rows_by_level
from src.verdict.points import interval_text, points_text
from src.verdict.statistics import rounding_sd, t_interval
from src.wording import counted, joined

MAX_LEVELS = 12  # a factor with more levels is a search: only the question for the best cell is asked
MAX_INTERACTIONS = 100  # per pair of factors
CELL = "cell"  # the only factor of cells that form no grid


@dataclass(frozen=True)
class Contrast:
    """The difference of the mean test accuracies of two levels of a factor; accuracies go from 0 to 1.

    The difference of one seed is the mean over all settings of the other factors that the seed has at both levels.
    Seeds are independent, so the t interval over seeds holds whatever the settings share, and whatever their spreads
    are (for seeds with unequal variances it is conservative: Bakirov and Szekely 2006, Ibragimov and Mueller 2010).
    """

    factor: str  # the factor's short name, such as `norm`, or `norm x l1` for an interaction
    first: str  # a level
    second: str  # another level
    setting: str  # levels of other factors at which the contrast is made, such as `l1=1e-05`; empty for an average
    averaged_over: tuple[str, ...]  # short names of the other factors
    settings: int  # number of settings over which the difference is averaged
    differences: tuple[float, ...]  # first minus second, one value per seed
    least_sd: float  # the standard deviation is not smaller than this, because accuracies are rounded to whole images
    equal_within: float  # differences up to this size count as equal
    identical: bool  # all compared runs gave bit-identical metrics with the same seed
    alpha: float = 1.0  # chance that the interval misses the true difference
    low: float | None = None  # ends of the simultaneous interval; None for one seed
    high: float | None = None
    p: float | None = None  # of this contrast alone; None for one seed
    dataset: str = ""  # the dataset's name, if the comparison has several

    @property
    def difference(self) -> float:
        """The mean difference over seeds, first minus second."""
        return sum(self.differences) / self.n

    @property
    def n(self) -> int:
        """The number of seeds."""
        return len(self.differences)

    @property
    def sd(self) -> float:
        """The standard deviation of the differences over seeds; needs two seeds."""
        mean = self.difference
        return max(math.sqrt(sum((value - mean) ** 2 for value in self.differences) / (self.n - 1)), self.least_sd)

    @property
    def outcome(self) -> str:
        """`better`: the interval excludes 0; `equal`: it lies within `equal_within`; `open`: neither."""
        if self.identical:
            return "equal"
        if self.low is None or self.high is None:
            return "open"
        if self.low > 0 or self.high < 0:
            return "better"
        return "equal" if max(-self.low, self.high) <= self.equal_within else "open"

    @property
    def is_interaction(self) -> bool:
        """Whether this is the difference of two differences."""
        return " x " in self.factor

    @property
    def better_first(self) -> "Contrast":
        """The same contrast, turned so that its difference is not negative."""
        if self.difference >= 0:
            return self
        low, high = (None, None) if self.low is None or self.high is None else (-self.high, -self.low)
        differences = tuple(-value for value in self.differences)
        return replace(self, first=self.second, second=self.first, differences=differences, low=low, high=high)

    @property
    def question(self) -> str:
        """The contrast without its result, such as `bn vs gn at l1=1e-05`."""
        first, second = self.labels
        return f"{first} vs {second}{self._place}"

    @property
    def labels(self) -> tuple[str, str]:
        """The names of both levels, such as `bn` or `l1=1e-05`."""
        prefix = "" if self.factor in ("norm", CELL) or self.is_interaction else f"{self.factor}="
        return prefix + self.first, prefix + self.second

    @property
    def _place(self) -> str:
        """The setting and the dataset, such as ` at l1=1e-05 on mnist`; empty for an average on the only dataset."""
        setting = f" at {self.setting}" if self.setting else ""
        return f"{setting} on {self.dataset}" if self.dataset else setting

    @property
    def scope_text(self) -> str:
        """The settings that the contrast covers, such as `, averaged over l1 (2 settings)`."""
        if self.settings > 1:
            return f"{self._place}, averaged over {joined(self.averaged_over)} ({counted(self.settings, 'setting')})"
        return self._place + (f", at one setting of {joined(self.averaged_over)}" if self.averaged_over else "")

    @property
    def size_text(self) -> str:
        """The difference and its interval, such as `0.12 points [0.03, 0.21]`."""
        ends = "" if self.low is None or self.high is None else f" {interval_text(self.low, self.high)}"
        return f"{points_text(self.difference)} points{ends}"

    @property
    def result_text(self) -> str:
        """The result in percentage points, without the settings and the number of seeds."""
        turned = self.better_first
        first, second = turned.labels
        if self.identical:
            return f"{first} and {second} give bit-identical results with the same seed"
        if self.is_interaction:
            step = f"the step from {second} to {first} differs by {turned.size_text}"
            return f"{self.factor}: {step} from the sum of its two single steps"
        if self.outcome == "better":
            return f"{first} is better than {second} by {turned.size_text}"
        equal = f"are equal within {points_text(self.equal_within)} points"
        verb = equal if self.outcome == "equal" else "are open"
        return f"{first} and {second} {verb}: {turned.size_text}"

    @property
    def sentence(self) -> str:
        """The result as a sentence, in percentage points."""
        return f"{self.result_text}{'' if self.is_interaction else self.scope_text} ({counted(self.n, 'seed')})"


def factor_contrasts(table: Accuracies, factors: Sequence[str], equal_within: float) -> list[Contrast]:
    """Return all contrasts between the levels of each factor, without intervals."""
    positions = range(len(factors))
    return [contrast for position in positions for contrast in _contrasts(table, factors, (position,), equal_within)]


def forms_grid(table: Accuracies, factors: Sequence[str], contrasts: Sequence[Contrast]) -> bool:
    """Whether `contrasts` compare every two levels of every factor: all levels share a setting of the other factors."""
    return len(contrasts) == sum(math.comb(len(_sorted_levels(table, position)), 2) for position in range(len(factors)))


def interactions(table: Accuracies, factors: Sequence[str], equal_within: float) -> list[Contrast]:
    """Return the interactions of every two factors: how the contrast of two levels differs between two other levels."""
    pairs = combinations(range(len(factors)), 2)
    return [contrast for positions in pairs for contrast in _contrasts(table, factors, positions, equal_within)]


def contrasts_by_setting(
    table: Accuracies, factors: Sequence[str], contrast: Contrast, other_factors: Sequence[str]
) -> list[Contrast]:
    """Return a contrast separately for each combination of the levels of other factors, given by short names."""
    names = [short_name(path, factors) for path in factors]
    other_positions = [names.index(key) for key in other_factors]
    averaged_over = tuple(name for name in contrast.averaged_over if name not in other_factors)
    contrasts = []
    for levels in product(*(_sorted_levels(table, position) for position in other_positions)):
        selected = table.select(np.array([tuple(row[k] for k in other_positions) == levels for row in table.levels]))
        setting = ", ".join(f"{key}={format_value(level)}" for key, level in zip(other_factors, levels, strict=True))
        for candidate in _contrasts(selected, factors, (names.index(contrast.factor),), contrast.equal_within):
            if (candidate.first, candidate.second) == (contrast.first, contrast.second):
                contrasts.append(replace(candidate, setting=setting, averaged_over=averaged_over))
    return contrasts


def _sorted_levels(table: Accuracies, position: int) -> list[object]:
    values = {levels[position]: None for levels in table.levels}
    return sorted((value for value in values if value is not NOT_READ), key=level_sort_key)


def _contrasts(
    table: Accuracies, factors: Sequence[str], positions: tuple[int, ...], equal_within: float
) -> Iterator[Contrast]:
    """Yield the contrasts of one factor, or the interactions of two factors."""
    levels = [_sorted_levels(table, position) for position in positions]
    pairs = [list(combinations(values, 2)) for values in levels]
    max_pairs = MAX_INTERACTIONS if len(positions) > 1 else math.inf
    if not 0 < math.prod(map(len, pairs)) <= max_pairs or max(map(len, levels)) > MAX_LEVELS:
        return
    level_pairs = [(tuple(first for first, _ in pair), tuple(second for _, second in pair)) for pair in product(*pairs)]
    rows = zip(level_pairs, *_differences_by_seed(table, positions, level_pairs), strict=True)
    names = [short_name(path, factors) for path in factors]
    other_factors = tuple(name for k, name in enumerate(names) if k not in positions)
    for (first, second), differences, settings, identical in rows:
        if differences:
            yield Contrast(
                factor=" x ".join(names[k] for k in positions),
                first=", ".join(map(format_value, first)),
                second=", ".join(map(format_value, second)),
                setting="",
                averaged_over=other_factors,
                settings=settings,
                differences=differences,
                least_sd=rounding_sd(table.images, 2 ** len(positions)) / math.sqrt(settings),
                equal_within=equal_within,
                identical=identical,
            )


def _differences_by_seed(
    table: Accuracies, positions: tuple[int, ...], pairs: Sequence[tuple[Levels, Levels]]
) -> tuple[list[tuple[float, ...]], list[int], list[bool]]:
    """Return for each pair of levels: one difference per seed, the number of settings, and whether all runs agree.

    A difference adds the accuracies of all combinations of the levels, with a factor of -1 per level of the second.
    Runs agree if all that are compared have bit-identical metrics.
    """
    by_level = rows_by_level(table, positions)
    settings = {setting for rows in by_level.values() for setting in rows}
    rows = np.array(  # (pairs, corners, settings), -1 if there is no such cell
        [
            [
                [by_level.get(corner, {}).get(setting, -1) for setting in settings]
                for corner in product(*zip(*pair, strict=True))
            ]
            for pair in pairs
        ]
    )
    corner_signs = [(-1) ** sum(from_second) for from_second in product((0, 1), repeat=len(positions))]
    accuracies = np.vstack([table.test, np.full(len(table.seeds), np.nan)])[rows]
    measurements = np.vstack([table.measurements, np.full(len(table.seeds), -1)])[rows]
    differences = np.tensordot(accuracies, corner_signs, (1, 0))  # (pairs, settings, seeds), NaN if a run is missing
    compared = ~np.isnan(differences)
    identical = ((measurements == measurements[:, :1]).all(axis=1) | ~compared).all(axis=(1, 2))
    setting_counts = compared.sum(axis=1)
    means = np.where(compared, differences, 0.0).sum(axis=1) / np.maximum(setting_counts, 1)
    by_pair = [tuple(row[has_value].tolist()) for row, has_value in zip(means, setting_counts > 0, strict=True)]
    return by_pair, compared.any(axis=2).sum(axis=1).tolist(), identical.tolist()


def with_intervals(contrasts: Sequence[Contrast], alpha: float) -> list[Contrast]:
    """Return contrasts with simultaneous t intervals: all of them hold with a probability of 1 - `alpha` (Bonferroni).

    Contrasts with one seed get no interval and do not count.
    """
    alpha_each = alpha / max(sum(contrast.n > 1 for contrast in contrasts), 1)
    return [_with_interval(contrast, alpha_each) if contrast.n > 1 else contrast for contrast in contrasts]


def _with_interval(contrast: Contrast, alpha: float) -> Contrast:
    low, high, p = t_interval(contrast.difference, contrast.sd, contrast.n, alpha)
    return replace(contrast, alpha=alpha, low=low, high=high, p=p)
