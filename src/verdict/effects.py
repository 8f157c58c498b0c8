"""Estimates the effect of each swept key (a factor), averaged over the other factors, and their interactions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np

from src.results.results import Results
from src.runs.identity import applies
from src.runs.naming import format_value, short_name
from src.verdict.points import interval_text, points_text, size_text
from src.verdict.statistics import ALPHA, Floats, holm, rounding_sd, t_interval
from src.wording import counted, joined

Levels = tuple[Any, ...]
"""A combination of levels: one value for each factor."""
MAX_LEVELS = 400  # main effects and interactions with more combinations of levels are skipped
NOT_READ = object()  # stands for the value of a key that the options of a cell do not read


@dataclass(frozen=True)
class Effect:
    """The difference between a level of a factor and its first level, or the interaction of two factors."""

    factor: str  # `norm`, or `norm x l1` for an interaction
    level: str
    against: str
    difference: float  # of the mean test accuracy (0 to 1), `level` minus `against`
    low: float | None  # lower end of the 95 % t interval over seeds, for this effect alone; None for one seed
    high: float | None  # upper end of the 95 % t interval
    n: int  # seeds that all compared cells have
    settings: int  # settings of the other factors over which the difference is averaged
    over: tuple[str, ...]  # names of the other factors
    p: float | None = None  # p value for this effect alone; None for one seed
    p_holm: float | None = None  # p value corrected for all effects of the comparison
    equal: bool = False  # the difference is zero for every seed

    @property
    def interaction(self) -> bool:
        """Whether the effect is an interaction of two factors."""
        return " x " in self.factor

    @property
    def words(self) -> str:
        """The effect as a sentence, in percentage points."""
        other_factors, scope = joined(self.over), ""
        if other_factors:
            average = f"averaged over {other_factors} ({counted(self.settings, 'setting')})"
            scope = f", {average if self.settings > 1 else f'at one setting of {other_factors}'}"
        subject = f"{self.factor} {self.level} vs {self.against}:"
        if self.interaction:
            change = f"the change from {self.against} to {self.level}"
            subject = f"{self.factor}: {change} differs from the sum of the two single changes by"
        if self.low is None or self.high is None:
            size = f"{points_text(self.difference)} points"
            return f"{subject} {size}{scope}; one common seed gives no interval, and another seed could reverse it"
        if self.equal:
            return f"{subject} 0 points in each of {self.n} seeds{scope}"
        result = f"{subject} {points_text(self.difference)} points {interval_text(self.low, self.high)}{scope}"
        if self.p_holm is None or self.p_holm >= ALPHA:
            alone = self.p is not None and self.p < ALPHA
            result += ", significant on its own, but not after Holm's correction" if alone else ", not significant"
        elif not self.interaction:
            better = "better" if self.difference > 0 else "worse"
            size = size_text(self.difference, self.low, self.high)
            result = f"{self.factor} {self.level} is {better} than {self.against} by {size}{scope}"
        return f"{result} ({self.n} seeds)"


def factor_effects(results: Results) -> tuple[Effect, ...]:
    """The main effects and the interactions of two factors; empty if only one factor varies.

    An effect uses only settings of the other factors that were trained at all compared levels, and only seeds that all
    these cells have, on the same test images.  Holm's correction covers all effects, but not the pairs of cells.
    """
    factors = list(results.varies)
    if len(factors) < 2:
        return ()  # the pairs of cells already show the effect of a single factor
    cells = results.runs.drop_duplicates("cell")
    accuracies = results.runs.pivot(index="cell", columns="seed", values="test/accuracy").loc[cells["cell"]]
    table: dict[Levels, Floats] = {}
    for cell, values in zip(cells.to_dict("records"), accuracies.to_numpy(), strict=True):
        key = [cell["dataset"], *(cell[path] if applies(path, cell) else NOT_READ for path in factors)]
        table[tuple(key)] = values
    images = max((int(source["test"]) for source in results.sources.values()), default=0)
    effects = [*_estimate(table, factors, 1, images), *_estimate(table, factors, 2, images)]
    corrected = iter(holm(np.array([effect.p for effect in effects if effect.p is not None])).tolist())
    return tuple(effect if effect.p is None else replace(effect, p_holm=next(corrected)) for effect in effects)


def _estimate(table: Mapping[Levels, Floats], factors: Sequence[str], order: int, images: int) -> Iterator[Effect]:
    """Yield the main effects (order 1) or the interactions of two factors (order 2).

    `table` maps the dataset and the levels of each cell to its accuracies (seeds,), NaN for a missing seed.
    """
    for chosen in combinations(range(len(factors)), order):
        positions = [factor + 1 for factor in chosen]  # in a key of `table`, the dataset comes first
        by_levels: dict[Levels, dict[Levels, Floats]] = {}
        for key, accuracies in table.items():
            setting = tuple(value for k, value in enumerate(key) if k not in positions)
            by_levels.setdefault(tuple(key[k] for k in positions), {})[setting] = accuracies
        values = [list(dict.fromkeys(key[k] for key in table if key[k] is not NOT_READ)) for k in positions]
        if not all(values) or np.prod([len(levels) for levels in values]) > MAX_LEVELS:
            continue  # in a random search, nearly every job has a level of its own
        base = tuple(levels[0] for levels in values)
        name = " x ".join(short_name(factors[k], factors) for k in chosen)
        other_factors = tuple(short_name(path, factors) for k, path in enumerate(factors) if k not in chosen)
        for level in product(*(levels[1:] for levels in values)):
            differences, settings = _contrasts(by_levels, level, base)
            if len(differences):
                level_text, against = (", ".join(map(format_value, levels)) for levels in (level, base))
                mean, n = float(np.mean(differences)), len(differences)
                effect = Effect(name, level_text, against, mean, None, None, n, settings, other_factors)
                least_sd = rounding_sd(images, 2**order) / settings**0.5
                yield _add_test(effect, differences, least_sd) if n > 1 else effect


def _contrasts(by_levels: Mapping[Levels, Mapping[Levels, Floats]], level: Levels, base: Levels) -> tuple[Floats, int]:
    """One contrast per common seed, and the number of settings of the other factors over which it is averaged.

    A contrast adds the accuracies of all combinations of `level` and `base`, with a factor of -1 per value of `base`.
    """
    corners = [by_levels.get(corner, {}) for corner in product(*zip(level, base, strict=True))]
    signs = [(-1) ** sum(from_base) for from_base in product((0, 1), repeat=len(level))]
    settings = [setting for setting in corners[0] if all(setting in corner for corner in corners)]
    if not settings:
        return np.empty(0), 0
    total = sum(sign * corner[key] for sign, corner in zip(signs, corners, strict=True) for key in settings)
    return total[~np.isnan(total)] / len(settings), len(settings)


def _add_test(effect: Effect, differences: Floats, least_sd: float) -> Effect:
    """Return the effect with its interval and p value, computed from one difference per seed."""
    sd = max(float(np.std(differences, ddof=1)), least_sd)
    low, high, p = (float(value) for value in t_interval(np.array(effect.difference), np.array(sd), np.array(effect.n)))
    return replace(effect, low=low, high=high, p=p, equal=bool(np.abs(differences).max() < 1e-12))
