"""What one swept setting does, averaged over the others, and whether two of them depend on each other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np

from src.results.records import Records
from src.runs.identity import applies
from src.runs.naming import format_value, short_name
from src.verdict.points import by, interval, points
from src.verdict.statistics import ALPHA, holm, rounding_sd, t_interval
from src.wording import counted, joined

Seeds = Mapping[int, float]  # test accuracy by seed
CONTRASTS = 400  # at most so many combinations of levels of the factors in question
UNREAD = object()  # stands for a key's value in a cell that does not read it: no level


@dataclass(frozen=True)
class Effect:
    """A level of a factor against the first one's, or two of two (`norm x l1`: the difference of differences)."""

    factor: str
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
        """Whether it is one of two factors."""
        return " x " in self.factor

    @property
    def words(self) -> str:
        """A sentence in percentage points."""
        mean = ""
        if self.over:
            others = joined(self.over)
            averaged = f"averaged over {others} ({counted(self.settings, 'setting')})"
            mean = f", {averaged}" if self.settings > 1 else f", at one setting of {others}"
        if self.low is None or self.high is None:
            size = f"{points(self.difference)} points"
            return f"{self._subject()} {size}{mean}; one seed in common: no interval, another could turn it round"
        if self.equal:
            return f"{self._subject()} 0 points in each of {self.n} seeds{mean}"
        ends = f"{points(self.difference)} points {interval(self.low, self.high)}"
        if self.p_holm is None or self.p_holm >= ALPHA:
            alone = self.p is not None and self.p < ALPHA
            doubt = "would be a difference alone, not among all effects" if alone else "which cannot be told from none"
            return f"{self._subject()} {ends}{mean}, {doubt} ({self.n} seeds)"
        if self.interaction:
            return f"{self._subject()} {ends}{mean} ({self.n} seeds)"
        better = "better" if self.difference > 0 else "worse"
        size = by(self.difference, self.low, self.high)
        return f"{self.factor} {self.level} is {better} than {self.against} by {size}{mean} ({self.n} seeds)"

    def _subject(self) -> str:
        if self.interaction:
            return f"{self.factor}: going from {self.against} to {self.level} together differs from the sum of both by"
        return f"{self.factor} {self.level} against {self.against}:"


def factor_effects(records: Records) -> tuple[Effect, ...]:
    """Main effects and interactions of two, where two or more factors vary.

    Only the balanced part of the grid counts: settings of the other factors at which all levels in question were
    trained, on the same test images, and seeds that all these cells have.  Holm corrects over all effects, apart from
    the pairs of cells.
    """
    factors = list(records.varies)
    if len(factors) < 2:
        return ()  # the pairs of cells say it
    table: dict[tuple[Any, ...], Seeds] = {}
    images = 0
    for cell in records.cells:
        leaves = cell.leaves
        values = (leaves[path] if applies(path, leaves) else UNREAD for path in factors)
        key = (cell.source["digest"], cell.source["test"], *values)
        table[key] = {int(job.leaves["seed"]): float(job.result["metrics"]["test/accuracy"]) for job in cell.jobs}
        images = max(images, int(cell.source["test"]))
    found = [*_effects(table, factors, 1, images), *_effects(table, factors, 2, images)]
    tested = [position for position, effect in enumerate(found) if effect.p is not None]
    corrected = holm(np.array([found[position].p for position in tested], dtype=np.float64))
    for position, p in zip(tested, corrected.tolist(), strict=True):
        found[position] = replace(found[position], p_holm=p)
    return tuple(found)


def _effects(
    table: Mapping[tuple[Any, ...], Seeds], factors: Sequence[str], order: int, images: int
) -> Iterator[Effect]:
    """Main effects (order 1) or interactions (order 2)."""
    for chosen in combinations(range(len(factors)), order):
        places = [place + 2 for place in chosen]  # behind the test set
        by_values: dict[tuple[Any, ...], dict[tuple[Any, ...], Seeds]] = {}
        for key, seeds in table.items():
            rest = tuple(value for place, value in enumerate(key) if place not in places)
            by_values.setdefault(tuple(key[place] for place in places), {})[rest] = seeds
        levels = [list(dict.fromkeys(key[place] for key in table if key[place] is not UNREAD)) for place in places]
        if not all(levels) or np.prod([len(values) for values in levels]) > CONTRASTS:
            continue  # a search, say: nearly every value is a level of its own
        base = tuple(values[0] for values in levels)
        names = [short_name(factors[place], factors) for place in chosen]
        others = tuple(short_name(path, factors) for place, path in enumerate(factors) if place not in chosen)
        for level in product(*(values[1:] for values in levels)):
            values = _contrast(by_values, level, base)
            if values is None:
                continue
            differences, settings = values
            rounding = rounding_sd(images, 2**order) / settings**0.5
            yield _effect(" x ".join(names), _named(level), _named(base), differences, rounding, settings, others)


def _named(values: tuple[Any, ...]) -> str:
    return ", ".join(map(format_value, values))


def _contrast(
    by_values: Mapping[tuple[Any, ...], Mapping[tuple[Any, ...], Seeds]], level: tuple[Any, ...], base: tuple[Any, ...]
) -> tuple[list[float], int] | None:
    """The contrast of each common seed, and over how many settings of the others it is a mean; None where it is none.

    Each way of taking the level's or the base's value counts with -1 for every value of the base.
    """
    ends = list(product(*zip(level, base, strict=True)))
    cells = [by_values.get(end, {}) for end in ends]
    signs = [(-1) ** sum(picked) for picked in product((0, 1), repeat=len(level))]
    rests = [rest for rest in cells[0] if all(rest in cell for cell in cells)]
    if not rests:
        return None
    seeds = sorted(set.intersection(*(set(cell[rest]) for cell in cells for rest in rests)))
    if not seeds:
        return None
    sums = [
        sum(sign * cell[rest][seed] for sign, cell in zip(signs, cells, strict=True) for rest in rests)
        for seed in seeds
    ]
    return [total / len(rests) for total in sums], len(rests)


def _effect(
    factor: str,
    level: str,
    against: str,
    differences: Sequence[float],
    rounding: float,
    settings: int,
    others: tuple[str, ...],
) -> Effect:
    n, mean = len(differences), float(np.mean(differences))
    if n == 1:
        return Effect(factor, level, against, mean, None, None, n, settings, others)
    sd = max(float(np.std(differences, ddof=1)), rounding)
    low, high, p = (float(value) for value in t_interval(np.array(mean), np.array(sd), np.array(n)))
    equal = max(map(abs, differences)) < 1e-12
    return Effect(factor, level, against, mean, low, high, n, settings, others, p, equal=equal)
