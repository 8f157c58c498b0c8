"""The effects of single factors, averaged over the other factors, and the interactions of two factors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np

from src.results.results import Results
from src.runs.identity import applies
from src.runs.naming import format_value, short_name
from src.verdict.points import by, interval, points
from src.verdict.statistics import ALPHA, Floats, holm, rounding_sd, t_interval
from src.wording import counted, joined

Levels = tuple[Any, ...]
"""The values of some factors, one each."""
CONTRASTS = 400  # factors with more combinations of levels are skipped
UNREAD = object()  # in place of a value that the options of a cell do not read: not a level


@dataclass(frozen=True)
class Effect:
    """The difference of one level of a factor from its first level, or an interaction, a difference of differences."""

    factor: str  # `norm`, or `norm x l1` for an interaction
    level: str
    against: str
    difference: float  # of mean test accuracy, 0 to 1: level minus against
    low: float | None  # 95 % t interval over seeds, for this effect alone; None for one seed
    high: float | None
    n: int  # seeds that all its cells have
    settings: int  # of the other factors, over which it is averaged
    over: tuple[str, ...]  # those other factors
    p: float | None = None  # None for one seed
    p_holm: float | None = None  # corrected for all effects of the comparison
    equal: bool = False  # the difference is zero for every seed

    @property
    def interaction(self) -> bool:
        """Whether it is an interaction of two factors."""
        return " x " in self.factor

    @property
    def words(self) -> str:
        """The effect as a sentence, in percentage points."""
        others, mean = joined(self.over), ""
        if others:
            settings = f"averaged over {others} ({counted(self.settings, 'setting')})"
            mean = f", {settings if self.settings > 1 else f'at one setting of {others}'}"
        subject = f"{self.factor} {self.level} vs {self.against}:"
        if self.interaction:
            change = f"the change from {self.against} to {self.level}"
            subject = f"{self.factor}: {change} differs from the sum of the two single changes by"
        if self.low is None or self.high is None:
            size = f"{points(self.difference)} points"
            return f"{subject} {size}{mean}; one common seed, so no interval: another seed could reverse it"
        if self.equal:
            return f"{subject} 0 points in each of {self.n} seeds{mean}"
        result = f"{subject} {points(self.difference)} points {interval(self.low, self.high)}{mean}"
        if self.p_holm is None or self.p_holm >= ALPHA:
            alone = self.p is not None and self.p < ALPHA
            result += ", significant on its own, but not after Holm's correction" if alone else ", not significant"
        elif not self.interaction:
            better = "better" if self.difference > 0 else "worse"
            size = by(self.difference, self.low, self.high)
            result = f"{self.factor} {self.level} is {better} than {self.against} by {size}{mean}"
        return f"{result} ({self.n} seeds)"


def factor_effects(results: Results) -> tuple[Effect, ...]:
    """The main effects and the interactions of two factors, if two or more factors vary.

    Only the balanced part of the grid counts: settings of the other factors that were trained at all levels in
    question, on the same test images, with seeds that all these cells have.  Holm's correction covers all effects, and
    not the pairs of cells.
    """
    factors = list(results.varies)
    if len(factors) < 2:
        return ()  # the pairs of cells show the same
    cells = results.runs.drop_duplicates("cell")
    accuracies = results.runs.pivot(index="cell", columns="seed", values="test/accuracy").loc[cells["cell"]]
    table: dict[Levels, Floats] = {}
    for cell, values in zip(cells.to_dict("records"), accuracies.to_numpy(), strict=True):
        key = [cell["dataset"], *(cell[path] if applies(path, cell) else UNREAD for path in factors)]
        table[tuple(key)] = values
    images = max((int(source["test"]) for source in results.sources.values()), default=0)
    effects = [*_effects(table, factors, 1, images), *_effects(table, factors, 2, images)]
    corrected = iter(holm(np.array([effect.p for effect in effects if effect.p is not None])).tolist())
    return tuple(effect if effect.p is None else replace(effect, p_holm=next(corrected)) for effect in effects)


def _effects(table: Mapping[Levels, Floats], factors: Sequence[str], order: int, images: int) -> Iterator[Effect]:
    """The main effects (order 1) or the interactions (order 2).

    `table` holds the accuracies of each cell (seeds,), NaN for a missing seed, by its dataset and its levels.
    """
    for chosen in combinations(range(len(factors)), order):
        places = [place + 1 for place in chosen]  # the dataset comes first
        by_levels: dict[Levels, dict[Levels, Floats]] = {}
        for key, accuracies in table.items():
            rest = tuple(value for place, value in enumerate(key) if place not in places)
            by_levels.setdefault(tuple(key[place] for place in places), {})[rest] = accuracies
        values = [list(dict.fromkeys(key[place] for key in table if key[place] is not UNREAD)) for place in places]
        if not all(values) or np.prod([len(levels) for levels in values]) > CONTRASTS:
            continue  # in a search, nearly every value is a level of its own
        base = tuple(levels[0] for levels in values)
        name = " x ".join(short_name(factors[place], factors) for place in chosen)
        others = tuple(short_name(path, factors) for place, path in enumerate(factors) if place not in chosen)
        for level in product(*(levels[1:] for levels in values)):
            differences, settings = _contrast(by_levels, level, base)
            if len(differences):
                shown, against = (", ".join(map(format_value, levels)) for levels in (level, base))
                mean, n = float(np.mean(differences)), len(differences)
                effect = Effect(name, shown, against, mean, None, None, n, settings, others)
                yield _tested(effect, differences, rounding_sd(images, 2**order) / settings**0.5) if n > 1 else effect


def _contrast(by_levels: Mapping[Levels, Mapping[Levels, Floats]], level: Levels, base: Levels) -> tuple[Floats, int]:
    """The contrast of each common seed, and the number of settings of the other factors that it averages.

    Each combination of the level's and the base's values counts with a factor of -1 for every value of the base.
    """
    ends = [by_levels.get(end, {}) for end in product(*zip(level, base, strict=True))]
    signs = [(-1) ** sum(picked) for picked in product((0, 1), repeat=len(level))]
    rests = [rest for rest in ends[0] if all(rest in end for end in ends)]
    if not rests:
        return np.empty(0), 0
    total = sum(sign * end[rest] for sign, end in zip(signs, ends, strict=True) for rest in rests)
    return total[~np.isnan(total)] / len(rests), len(rests)


def _tested(effect: Effect, differences: Floats, rounding: float) -> Effect:
    """The effect with its interval and p value, from one difference per seed."""
    sd = max(float(np.std(differences, ddof=1)), rounding)
    low, high, p = (float(value) for value in t_interval(np.array(effect.difference), np.array(sd), np.array(effect.n)))
    return replace(effect, low=low, high=high, p=p, equal=bool(np.abs(differences).max() < 1e-12))
