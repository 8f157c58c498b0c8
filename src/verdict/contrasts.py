"""Compares the levels of each factor, such as the norms, averaged over the settings of all other factors."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product

import numpy as np

from src.results.statistics import Counts, rounding_sd, t_interval
from src.runs.naming import format_value, short_name
from src.verdict.accuracies import NOT_READ, Accuracies, Levels, level_sort_key, rows_by_level
from src.verdict.contrast import Contrast
from src.verdict.welch import Welch, compare_unpaired

MAX_LEVELS = 12  # a factor with more levels is a search: only the question for the best cell is asked
MAX_INTERACTIONS = 100  # per pair of factors


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
    rows = _rows_by_pair(table, positions, level_pairs)
    signs = np.array([(-1) ** sum(from_second) for from_second in product((0, 1), repeat=len(positions))])
    compared = zip(level_pairs, rows, *_differences_by_seed(table, rows, signs), strict=True)
    names = [short_name(path, factors) for path in factors]
    other_factors = tuple(name for k, name in enumerate(names) if k not in positions)
    for (first, second), pair_rows, differences, settings, identical in compared:
        welch = None
        is_paired = len(differences) > 1 or (differences and identical)
        if not is_paired and (unpaired := _compare_unpaired(table, pair_rows, signs)):
            welch, settings = unpaired
            differences, identical = (), False
        if differences or welch:
            compared_rows = pair_rows[:, (pair_rows >= 0).all(axis=0)]  # (corners, settings)
            yield Contrast(
                factors=tuple(names[k] for k in positions),
                first_levels=tuple(map(format_value, first)),
                second_levels=tuple(map(format_value, second)),
                setting="",
                averaged_over=other_factors,
                settings=settings,
                cells=tuple(table.cells[row] for row in compared_rows[:, 0]) if compared_rows.shape[1] == 1 else (),
                differences=differences,
                least_sd=rounding_sd(table.images, 2 ** len(positions)) / math.sqrt(settings),
                equal_within=equal_within,
                identical=identical,
                welch=welch,
                measure=table.measure,
            )


def _rows_by_pair(table: Accuracies, positions: tuple[int, ...], pairs: Sequence[tuple[Levels, Levels]]) -> Counts:
    """The row of each cell that a pair of levels compares (pairs, corners, settings); -1 if there is no such cell.

    A corner is a combination of the levels of the pair: for the levels of one factor, there are two.
    """
    by_level = rows_by_level(table, positions)
    settings = {setting for rows in by_level.values() for setting in rows}
    return np.array(
        [
            [
                [by_level.get(corner, {}).get(setting, -1) for setting in settings]
                for corner in product(*zip(*pair, strict=True))
            ]
            for pair in pairs
        ]
    )


def _differences_by_seed(
    table: Accuracies, rows: Counts, signs: Counts
) -> tuple[list[tuple[float, ...]], list[int], list[bool]]:
    """Return for each pair of levels: one difference per seed, the number of settings, and whether all runs agree.

    A difference adds the accuracies of the corners times their `signs`.  Runs agree if all that are compared have
    bit-identical metrics.  `_rows_by_pair` gives `rows`.
    """
    accuracies = np.vstack([table.test, np.full(len(table.seeds), np.nan)])[rows]
    measurements = np.vstack([table.measurements, np.full(len(table.seeds), -1)])[rows]
    differences = np.tensordot(accuracies, signs, (1, 0))  # (pairs, settings, seeds), NaN if a run is missing
    compared = ~np.isnan(differences)
    identical = ((measurements == measurements[:, :1]).all(axis=1) | ~compared).all(axis=(1, 2))
    setting_counts = compared.sum(axis=1)
    means = np.where(compared, differences, 0.0).sum(axis=1) / np.maximum(setting_counts, 1)
    by_pair = [tuple(row[has_value].tolist()) for row, has_value in zip(means, setting_counts > 0, strict=True)]
    return by_pair, compared.any(axis=2).sum(axis=1).tolist(), identical.tolist()


def _compare_unpaired(table: Accuracies, rows: Counts, signs: Counts) -> tuple[Welch, int] | None:
    """Compare the means of cells with different seeds over all settings with two runs at each corner; count these.

    `rows` has the shape (corners, settings).  None if there is no such setting.
    """
    usable = rows[:, ((rows >= 0) & (table.seed_counts[rows] > 1)).all(axis=0)]
    if not usable.size:
        return None
    weights = np.broadcast_to(signs[:, None] / usable.shape[1], usable.shape)
    return compare_unpaired(table.test[usable.ravel()], weights.ravel(), rounding_sd(table.images, 1)), usable.shape[1]


def with_intervals(contrasts: Sequence[Contrast], alpha: float) -> list[Contrast]:
    """Return contrasts with simultaneous t intervals: all of them hold with a probability of 1 - `alpha` (Bonferroni).

    Contrasts with one seed get no interval and do not count.
    """
    alpha_each = alpha / max(sum(contrast.n > 1 for contrast in contrasts), 1)
    return [_with_interval(contrast, alpha_each) if contrast.n > 1 else contrast for contrast in contrasts]


def _with_interval(contrast: Contrast, alpha: float) -> Contrast:
    low, high, p = t_interval(contrast.difference, contrast.standard_error, contrast.degrees, alpha)
    return replace(contrast, alpha=alpha, low=low, high=high, p=p)
