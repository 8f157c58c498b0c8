"""Compares every two cells: paired by seed, or by image if they have only one seed in common."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.results.results import Results
from src.verdict import statistics
from src.verdict.pairs import Pair
from src.verdict.statistics import ALPHA, Bools, Counts, Floats

# Differences to detect, by preference; below 0.1 points only if the seeds at hand already detect 0.1 points.
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 0.0005, 0.0002, 0.0001)
AFFORDABLE = 20  # total seeds that a suggestion may reach; or twice the present number, if that is more


@dataclass(frozen=True)
class Compared:
    """The comparison of all cells that were tested on the same images.

    `pairs` has one value per pair in each array: the positions of both cells (`first`, `second`), the fields of `Pair`
    that need no other pair, and `sd`, the standard deviation of the paired differences (NaN for one seed).
    """

    dataset: str  # its name, such as `mnist 1a2b3c4d`
    images: int  # test images
    cells: list[str]
    runs: npt.NDArray[np.object_]  # names of the runs (cells, seeds), None where a seed has no run
    accuracies: Floats  # test accuracies (cells, seeds), NaN where a seed has no run
    pairs: Mapping[str, npt.NDArray[Any]]
    without: tuple[tuple[int, int], ...]  # the positions of two cells that cannot be compared

    @cached_property
    def means(self) -> dict[str, float]:
        """The mean test accuracy of each cell over all its seeds, the best first."""
        means = [float(np.mean(row[~np.isnan(row)])) for row in self.accuracies]
        return dict(sorted(zip(self.cells, means, strict=True), key=lambda item: -item[1]))


def compare_cells(results: Results, right: Mapping[str, Bools], cells: Sequence[str] = ()) -> list[Compared]:
    """Compare every two of the cells, or of all cells, that were tested on the same images; one item per dataset.

    `right` marks the test images that each run classifies correctly (N,), by the run's name; it may lack runs.
    """
    runs = results.runs.assign(measurements=_measurements(results), place=pd.factorize(results.runs["environment"])[0])
    if cells:
        runs = runs.set_index("cell").loc[list(cells)].reset_index()
    groups = runs.groupby("dataset", sort=False)
    return [_compare(group, int(results.sources[str(digest)]["test"]), right) for digest, group in groups]


def _compare(runs: pd.DataFrame, images: int, right: Mapping[str, Bools]) -> Compared:
    (row, cells), (column, seeds) = pd.factorize(runs["cell"]), pd.factorize(runs["seed"], sort=True)

    def table(name: str, missing: float | None) -> npt.NDArray[Any]:
        values = np.full((len(cells), len(seeds)), missing)
        values[row, column] = runs[name]
        return values

    names, accuracies = table("run", None), table("test/accuracy", np.nan)
    n, mean, sd, superiority = _by_seed(accuracies)
    alone = _by_image(names, n, right)
    upper = np.triu(np.ones_like(n, dtype=bool), 1)
    usable = upper & ((n > 1) | ((n == 1) & (alone >= 0) & (alone.T >= 0)))
    without = tuple((first, second) for first, second in np.argwhere(upper & ~usable).tolist())
    pair = np.nonzero(usable)
    single, spread = n[pair] == 1, np.maximum(sd[pair], statistics.rounding_sd(images))
    one, other = alone[pair], alone.T[pair]
    by_seed = statistics.t_interval(mean[pair], spread, np.maximum(n[pair], 2))
    by_image = (*statistics.accuracy_difference_interval(one, other, images), statistics.mcnemar(one, other))
    low, high, p = (np.where(single, each, several) for each, several in zip(by_image, by_seed, strict=True))
    pairs = {
        **{"first": pair[0], "second": pair[1], "n": n[pair]},
        "difference": np.where(single, (one - other) / images, mean[pair]),
        **{"low": low, "high": high, "p": p},
        "sd": np.where(single, np.nan, spread),
        "superiority": superiority[pair],
        "equal": _agree(table("measurements", -1))[pair],
        "across": ~_agree(table("place", -1))[pair],
    }
    return Compared(str(runs["dataset_name"].iloc[0]), images, cells.tolist(), names, accuracies, pairs, without)


def _measurements(results: Results) -> list[int]:
    """A number per run, equal for runs with bit-identical metrics in every epoch and at the end; times do not count."""
    at_end = results.runs.filter(regex="^(?!seconds/).*/").to_numpy(np.float64) + 0.0  # -0.0 becomes 0.0
    by_epoch = results.epochs.filter(regex="^(?!time/).*/").to_numpy(np.float64) + 0.0
    rows = results.epochs.groupby("run").indices
    known: dict[Hashable, int] = {}
    return [
        known.setdefault((at_end[k].tobytes(), by_epoch[rows[run]].tobytes()) if run in rows else k, len(known))
        for k, run in enumerate(results.runs["run"])
    ]


def _agree(values: Counts) -> Bools:
    """Whether two rows have equal numbers in every column that both have (rows, rows); -1 marks a missing number."""
    rows = [((values == own) | (values < 0) | (own < 0)).all(axis=1) for own in values]
    return np.array(rows, dtype=bool).reshape(len(values), len(values))


def _by_seed(accuracies: Floats) -> tuple[Counts, Floats, Floats, Floats]:
    """For every two rows, over the seeds that both have: their number, the mean difference, its sd, and `superiority`.

    Each is an array (cells, cells), 0 without a common seed.  `superiority` is the share of seeds in which the row
    beats the column, ties count half (Bouthillier et al. 2021, P(A > B)).
    """
    cells = len(accuracies)
    n = np.zeros((cells, cells), dtype=np.int64)
    mean, sd, superiority = (np.zeros((cells, cells)) for _ in range(3))
    for row, values in enumerate(accuracies):  # all pairs at once would need cells x cells x seeds numbers
        differences = values - accuracies
        there = ~np.isnan(differences)
        differences = np.where(there, differences, 0.0)
        n[row] = there.sum(axis=1)
        mean[row] = differences.sum(axis=1) / np.maximum(n[row], 1)
        squares = (np.where(there, differences - mean[row][:, None], 0.0) ** 2).sum(axis=1)
        sd[row] = np.sqrt(squares / np.maximum(n[row] - 1, 1))
        superiority[row] = np.where(there, np.sign(differences) + 1, 0.0).sum(axis=1) / 2 / np.maximum(n[row], 1)
    return n, mean, sd, superiority


def _by_image(names: npt.NDArray[np.object_], n: Counts, right: Mapping[str, Bools]) -> Counts:
    """The images that the row's cell classifies correctly and the column's does not; -1 without one common seed."""
    alone = np.full(n.shape, -1, dtype=np.int64)
    single = n == 1
    np.fill_diagonal(single, False)
    for runs in names.T:  # of one seed
        rows = [row for row, name in enumerate(runs) if name in right and single[row].any()]
        if len(rows) < 2:
            continue
        answers = np.stack([right[runs[row]] for row in rows]).astype(np.float32)  # sums are exact below 2**24
        both = (answers @ answers.T).astype(np.int64)
        place = np.ix_(rows, rows)
        alone[place] = np.where(single[place], both.diagonal()[:, None] - both, alone[place])
    return alone


def as_pairs(groups: Sequence[Compared]) -> tuple[Pair, ...]:
    """The pairs of all groups, with Holm's correction over all of them."""
    corrected = statistics.holm(np.concatenate([group.pairs["p"] for group in groups])) if groups else np.empty(0)
    level = ALPHA / max(int((corrected >= ALPHA).sum()), 1)  # Holm's correction leaves it to the undecided pairs
    pairs: list[Pair] = []
    for group in groups:
        p_holm = corrected[len(pairs) : len(pairs) + len(group.pairs["p"])]
        pairs += _pairs_of(group, p_holm, len(corrected), level)
    return tuple(pairs)


def _pairs_of(group: Compared, p_holm: Floats, among: int, level: float) -> Iterator[Pair]:
    total = np.arange(2, max(AFFORDABLE, 2 * int(group.pairs["n"].max(initial=1))) + 1)
    detected = statistics.detectable(total, level)
    columns = [column.tolist() for column in (*group.pairs.values(), p_holm)]
    for first, second, n, difference, low, high, p, sd, beats, equal, across, corrected in zip(*columns, strict=True):
        seeds, step = None, None
        if n == 1:
            method, beats, differences = f"exact McNemar on {group.images:,} images", None, ()
        else:
            row = group.accuracies[first] - group.accuracies[second]
            method, differences = f"paired t over {n} seeds", tuple(row[~np.isnan(row)].tolist())
            if corrected >= ALPHA and not equal:
                seeds, step = _enough_seeds(total, detected * sd, n)
        names = group.cells[first], group.cells[second]
        yield Pair(
            *(*names, difference, low, high, p, corrected, method, n, beats, among),
            *(seeds, step, differences, group.images, equal, across),
        )


def _enough_seeds(total: Counts, detected: Floats, n: int) -> tuple[int, float] | tuple[None, None]:
    """The smallest number of seeds above n, and the difference in `STEPS` that it detects.

    `total` holds numbers of seeds, ascending; `detected` the difference that each of them detects, descending.
    """
    for step in STEPS:
        if detected[-1] <= step and (enough := int(total[(detected <= step).argmax()])) > n:
            return enough, step
    return None, None
