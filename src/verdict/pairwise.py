"""Compares every two cells: paired by seed, or by image where they have one seed in common."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from src.results.results import Results
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

# Differences to detect, by preference: the finer ones where the seeds at hand already detect 0.1 points.
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
FINER = (0.0005, 0.0002, 0.0001)
AFFORDABLE = 20  # total seeds that a suggestion may reach; or twice the present number, if that is more


@dataclass(frozen=True)
class Compared:
    """The comparison of all cells that were tested on the same images.

    `pairs` has the rows of both cells (`first`, `second`), the common seeds (`n`), the difference with its interval and
    p (`difference`, `low`, `high`, `p`), the standard deviation of the paired differences (`sd`, NaN for one seed), and
    whether every common seed gave bit-identical results (`equal`) or one was trained in two environments (`across`).
    """

    dataset: str  # its name, such as `mnist 1a2b3c4d`
    images: int  # test images
    runs: pd.DataFrame  # names of the runs, a row per cell and a column per seed; missing where a seed has no run
    accuracies: Floats  # test accuracies of the same shape, NaN where a seed has no run
    pairs: pd.DataFrame  # one row per pair
    without: tuple[tuple[int, int, int], ...]  # pairs that cannot be compared: two rows and their common seeds

    @cached_property
    def means(self) -> dict[str, float]:
        """The mean test accuracy of each cell over all its seeds, the best first."""
        means = [float(np.mean(row[~np.isnan(row)])) for row in self.accuracies]
        return dict(sorted(zip(self.runs.index, means, strict=True), key=lambda item: -item[1]))


def compare_cells(results: Results, right: Mapping[str, Bools], cells: Sequence[str] = ()) -> list[Compared]:
    """Compare every two cells that were tested on the same images, one item per dataset.

    Args:
        results: the runs.
        right: which test images each run classifies correctly (N,), by the run's name; may lack runs.
        cells: the cells to compare, in this order; all cells if empty.
    """
    runs = results.runs.assign(measured=_measured(results), place=pd.factorize(results.runs["environment"])[0])
    if cells:
        runs = runs.set_index("cell").loc[list(cells)].reset_index()
    groups = runs.groupby("dataset", sort=False)
    return [_compare(group, int(results.sources[str(digest)]["test"]), right) for digest, group in groups]


def _compare(runs: pd.DataFrame, images: int, right: Mapping[str, Bools]) -> Compared:
    columns = ["run", "test/accuracy", "measured", "place"]
    table = runs.set_index(["cell", "seed"])[columns].unstack("seed").reindex(runs["cell"].unique())
    accuracies = table["test/accuracy"].to_numpy(np.float64)
    n, mean, sd = _by_seed(accuracies)
    alone = _by_image(table["run"], n, right)
    upper = np.triu(np.ones_like(n, dtype=bool), 1)
    usable = upper & ((n > 1) | ((n == 1) & (alone >= 0) & (alone.T >= 0)))
    without = tuple((int(i), int(j), int(n[i, j])) for i, j in np.argwhere(upper & ~usable))
    first, second = where = np.nonzero(usable)
    pairs = pd.DataFrame({"first": first, "second": second, "n": n[where], "difference": mean[where]})
    pairs["sd"] = np.maximum(sd[where], rounding_sd(images))
    t = t_interval(mean[where], pairs["sd"].to_numpy(), np.maximum(n[where], 2))
    one, other = alone[where], alone.T[where]
    by_image = (*accuracy_difference_interval(one, other, images), mcnemar(one, other))
    single = n[where] == 1
    for name, of_seeds, of_images in zip(("low", "high", "p"), t, by_image, strict=True):
        pairs[name] = np.where(single, of_images, of_seeds)
    pairs.loc[single, "difference"] = ((one - other) / images)[single]
    pairs.loc[single, "sd"] = np.nan
    same_results, same_place = (_agree(table[name].fillna(-1).to_numpy(np.int64)) for name in columns[2:])
    pairs["equal"], pairs["across"] = same_results[where], ~same_place[where]
    return Compared(str(runs["dataset_name"].iloc[0]), images, table["run"], accuracies, pairs, without)


def _measured(results: Results) -> list[int]:
    """A number per run, the same for runs that measured the same in every epoch and at the end, times left out."""
    at_end = results.runs.filter(regex="^(?!seconds/).*/").to_numpy(np.float64) + 0.0  # -0.0 becomes 0.0
    by_epoch = results.epochs.filter(regex="^(?!time/).*/").to_numpy(np.float64) + 0.0
    rows = results.epochs.groupby("run").indices
    known: dict[Hashable, int] = {}
    return [
        known.setdefault((at_end[k].tobytes(), by_epoch[rows[run]].tobytes()) if run in rows else k, len(known))
        for k, run in enumerate(results.runs["run"])
    ]


def _agree(values: Counts) -> Bools:
    """Whether every two rows hold the same number wherever both hold one, which is not negative (rows, rows)."""
    found = np.empty((len(values), len(values)), dtype=bool)
    for row, own in enumerate(values):
        found[row] = ((values == own) | (values < 0) | (own < 0)).all(axis=1)
    return found


def _by_seed(accuracies: Floats) -> tuple[Counts, Floats, Floats]:
    """For every two rows: the common seeds, the mean difference over them and its sd (cells, cells); 0 for no seed."""
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


def _by_image(runs: pd.DataFrame, n: Counts, right: Mapping[str, Bools]) -> Counts:
    """The images that the row's cell classifies correctly and the column's does not; -1 without one common seed."""
    alone = np.full(n.shape, -1, dtype=np.int64)
    single = n == 1
    np.fill_diagonal(single, False)
    for _, names in runs.items():
        rows = [row for row, name in enumerate(names) if name in right and single[row].any()]
        if len(rows) < 2:
            continue
        answers = np.stack([right[names.iloc[row]] for row in rows]).astype(np.float32)  # sums are exact below 2**24
        both = (answers @ answers.T).astype(np.int64)
        place = np.ix_(rows, rows)
        alone[place] = np.where(single[place], both.diagonal()[:, None] - both, alone[place])
    return alone


def as_pairs(groups: Sequence[Compared]) -> tuple[Pair, ...]:
    """The pairs of all groups, with Holm's correction over all of them."""
    corrected = holm(np.concatenate([group.pairs["p"] for group in groups])) if groups else np.empty(0)
    level = ALPHA / max(int((corrected >= ALPHA).sum()), 1)  # Holm's correction leaves it to the undecided pairs
    pairs: list[Pair] = []
    for group in groups:
        p_holm = corrected[len(pairs) : len(pairs) + len(group.pairs)]
        pairs += _pairs_of(group, p_holm, len(corrected), level)
    return tuple(pairs)


def _pairs_of(group: Compared, p_holm: Floats, among: int, level: float) -> Iterator[Pair]:
    labels = group.runs.index.tolist()
    total = np.arange(2, max(AFFORDABLE, 2 * int(group.pairs["n"].to_numpy().max(initial=1))) + 1)
    detected = detectable(total, level)
    columns = (group.pairs[name].tolist() for name in group.pairs)
    for first, second, n, difference, sd, low, high, p, equal, across, corrected in zip(
        *columns, p_holm.tolist(), strict=True
    ):
        method, beats, values = f"exact McNemar on {group.images:,} images", None, ()
        seeds, step = None, None
        if n > 1:
            row = group.accuracies[first] - group.accuracies[second]
            values = tuple(row[~np.isnan(row)].tolist())
            method, beats = f"paired t over {n} seeds", superiority(values)
            if corrected >= ALPHA and not equal:
                seeds, step = _enough_seeds(total, detected * sd, n)
        yield Pair(
            *(labels[first], labels[second], difference, low, high, p, corrected, method, n, beats, among),
            *(seeds, step, values, group.images, equal, across),
        )


def _enough_seeds(total: Counts, detected: Floats, n: int) -> tuple[int, float] | tuple[None, None]:
    """The smallest total above n, and the difference of `STEPS` or `FINER` that so many seeds detect.

    Args:
        total: numbers of seeds, ascending.
        detected: the difference that each number of seeds detects, descending.
        n: the seeds at hand.
    """
    for step in (*STEPS, *FINER):
        found = np.flatnonzero(detected <= step)
        if len(found) and total[found[0]] > n:
            return int(total[found[0]]), step
        if step in FINER and not len(found):
            break
    return None, None
