"""Every two cells of a comparison beside each other: paired by seed, or by image where one seed is common."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from src.results.frames import bit_changing
from src.results.records import Cell
from src.runs.folder import FinishedJob
from src.verdict.pairs import Pair
from src.verdict.statistics import (
    ALPHA,
    Bools,
    Counts,
    Floats,
    accuracy_difference_interval,
    detectable,
    holm,
    mcnemar,
    rounding_sd,
    superiority,
    t_interval,
)

# What more seeds are asked to resolve: the first of these that so many seeds in all are enough for.
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
FINER = (0.0005, 0.0002, 0.0001)  # where 0.1 points would have shown already
AFFORDABLE = 20  # seeds in all, or twice as many as there are


@dataclass(frozen=True)
class Compared:
    """The pairs of cells that were tested on the same images, as arrays of one value a pair."""

    cells: tuple[Cell, ...]
    first: Counts  # positions among the cells
    second: Counts
    n: Counts  # seeds in common
    difference: Floats
    low: Floats
    high: Floats
    p: Floats
    sd: Floats  # of the paired differences; NaN for one seed
    equal: Bools  # every common seed gave the same results, to the last bit
    across: Bools  # a common seed was trained in different environments
    seeds: tuple[int, ...]  # all that any cell has
    accuracies: Floats  # (cells, seeds), NaN where there is none
    without: tuple[tuple[int, int, int], ...]  # pairs that are not compared, by position, with their common seeds

    @property
    def images(self) -> int:
        """The test images."""
        return int(self.cells[0].source["test"])


def compare_cells(cells: Sequence[Cell], right: Mapping[str, Bools]) -> Compared:
    """Compare every two of the cells, all of which were tested on the same images.

    Args:
        cells: at least one.
        right: by the name of a run which of the test images it gets right (N,); runs without predictions are missing.
    """
    runs = [{int(job.leaves["seed"]): job for job in cell.jobs} for cell in cells]
    seeds = sorted({seed for run in runs for seed in run})
    accuracies = np.full((len(cells), len(seeds)), np.nan)
    names: list[dict[int, str]] = []
    for row, (cell, run) in enumerate(zip(cells, runs, strict=True)):
        names.append({seed: cell.name(job) for seed, job in run.items()})
        for seed, job in run.items():
            accuracies[row, seeds.index(seed)] = job.result["metrics"]["test/accuracy"]
    same_results, same_place = _same(runs, seeds)
    images = int(cells[0].source["test"])
    n, mean, sd = _by_seed(accuracies)
    alone = _by_image(names, seeds, n, right)
    upper = np.triu(np.ones_like(n, dtype=bool), 1)
    usable = upper & ((n > 1) | ((n == 1) & (alone >= 0) & (alone.T >= 0)))
    without = tuple((int(i), int(j), int(n[i, j])) for i, j in np.argwhere(upper & ~usable))
    first, second = np.nonzero(usable)
    count, one, other = n[first, second], alone[first, second], alone[second, first]
    single = count == 1
    difference, spread = mean[first, second], np.maximum(sd[first, second], rounding_sd(images))
    low, high, p = np.empty_like(difference), np.empty_like(difference), np.empty_like(difference)
    several = ~single
    low[several], high[several], p[several] = t_interval(difference[several], spread[several], count[several])
    difference[single] = (one[single] - other[single]) / images
    low[single], high[single] = accuracy_difference_interval(one[single], other[single], images)
    p[single] = mcnemar(one[single], other[single])
    spread[single] = np.nan
    equal, across = same_results[first, second], ~same_place[first, second]
    return Compared(
        *(tuple(cells), first, second, count, difference, low, high, p, spread, equal, across),
        *(tuple(seeds), accuracies, without),
    )


def _same(runs: Sequence[Mapping[int, FinishedJob]], seeds: Sequence[int]) -> tuple[Bools, Bools]:
    """Whether every two cells agree on all common seeds: in all results, and in the environment (cells, cells)."""
    jobs = [job for run in runs for job in run.values()]
    environments = dict(zip(map(id, jobs), bit_changing(jobs), strict=True))
    known: dict[Hashable, int] = {}
    results, places = (np.full((len(runs), len(seeds)), -1) for _ in range(2))
    for row, run in enumerate(runs):
        for seed, job in run.items():
            column = seeds.index(seed)
            results[row, column] = known.setdefault(_results(job), len(known))
            places[row, column] = known.setdefault(environments[id(job)], len(known))
    return _agree(results), _agree(places)


def _results(job: FinishedJob) -> Hashable:
    """Everything that a job measured, except times; a job without curves equals no other."""
    measured = [job.result["metrics"], *(record["metrics"] for record in job.epochs)]
    if len(measured) == 1:
        return id(job)
    return tuple(
        (name, value) for metrics in measured for name, value in metrics.items() if not name.startswith("time/")
    )


def _agree(values: Counts) -> Bools:
    """Whether every two rows hold the same number wherever both hold one, which is not negative (rows, rows)."""
    found = np.empty((len(values), len(values)), dtype=bool)
    for row, own in enumerate(values):
        found[row] = ((values == own) | (values < 0) | (own < 0)).all(axis=1)
    return found


def _by_seed(accuracies: Floats) -> tuple[Counts, Floats, Floats]:
    """Of every two rows the seeds in common, the mean difference over them and its sd (cells, cells), 0 for none."""
    cells = len(accuracies)
    n = np.zeros((cells, cells), dtype=np.int64)
    mean, sd = np.zeros((cells, cells)), np.zeros((cells, cells))
    for row, values in enumerate(accuracies):  # all pairs at once would need cells x cells x seeds numbers
        differences = values - accuracies
        there = ~np.isnan(differences)
        differences = np.where(there, differences, 0.0)
        n[row] = there.sum(axis=1)
        mean[row] = differences.sum(axis=1) / np.maximum(n[row], 1)
        squares = (np.where(there, differences - mean[row][:, None], 0.0) ** 2).sum(axis=1)
        sd[row] = np.sqrt(squares / np.maximum(n[row] - 1, 1))
    return n, mean, sd


def _by_image(
    names: Sequence[Mapping[int, str]], seeds: Sequence[int], n: Counts, right: Mapping[str, Bools]
) -> Counts:
    """How many images the row's cell gets right and the column's wrong, where one seed is common; else -1."""
    alone = np.full(n.shape, -1, dtype=np.int64)
    single = n == 1
    np.fill_diagonal(single, False)
    for seed in seeds:
        rows = [row for row, run in enumerate(names) if run.get(seed) in right and single[row].any()]
        if len(rows) < 2:
            continue
        answers = np.stack([right[names[row][seed]] for row in rows]).astype(np.float32)  # sums are exact below 2**24
        both = (answers @ answers.T).astype(np.int64)
        found = both.diagonal()[:, None] - both
        place = np.ix_(rows, rows)
        alone[place] = np.where(single[place], found, alone[place])
    return alone


def as_pairs(groups: Sequence[Compared]) -> tuple[Pair, ...]:
    """The pairs of all groups, corrected together by Holm."""
    corrected = holm(np.concatenate([group.p for group in groups])) if groups else np.empty(0)
    undecided = int((corrected >= ALPHA).sum())
    pairs: list[Pair] = []
    for group in groups:
        p_holm = corrected[len(pairs) : len(pairs) + len(group.p)]
        pairs += _pairs_of(group, p_holm, len(corrected), undecided)
    return tuple(pairs)


def _pairs_of(group: Compared, p_holm: Floats, among: int, undecided: int) -> Iterator[Pair]:
    labels = [cell.label for cell in group.cells]
    enough = _Enough(ALPHA / max(undecided, 1), int(group.n.max(initial=1)))
    images = group.images
    mcnemar_on = f"exact McNemar on {images:,} images"
    columns = (group.first, group.second, group.n, group.difference, group.low, group.high, group.p, p_holm, group.sd)
    for first, second, n, difference, low, high, p, corrected, sd, equal, across in zip(
        *(column.tolist() for column in (*columns, group.equal, group.across)), strict=True
    ):
        if n == 1:
            method, beats, values, seeds, step = mcnemar_on, None, (), None, None
        else:
            row = group.accuracies[first] - group.accuracies[second]
            values = tuple(row[~np.isnan(row)].tolist())
            method, beats = f"paired t over {n} seeds", superiority(values)
            seeds, step = enough.seeds(sd, n) if corrected >= ALPHA and not equal else (None, None)
        yield Pair(
            *(labels[first], labels[second], difference, low, high, p, corrected, method, n, beats, among),
            *(seeds, step, values, images, equal, across),
        )


class _Enough:
    """How many seeds show how small a difference, at the level that Holm leaves to the pairs still undecided."""

    def __init__(self, alpha: float, n: int) -> None:
        self._n = np.arange(2, max(AFFORDABLE, 2 * n) + 1)
        self._shown = detectable(self._n, alpha)  # falls as n grows

    def seeds(self, sd: float, n: int) -> tuple[int, float] | tuple[None, None]:
        """The seeds in all, more than n, and the difference that they would resolve."""
        for step in (*STEPS, *FINER):
            found = np.flatnonzero(self._shown * sd <= step)
            if len(found) and self._n[found[0]] > n:
                return int(self._n[found[0]]), step
            if step in FINER and not len(found):
                break
        return None, None
