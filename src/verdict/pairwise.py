"""Compares every two cells, paired by seed, or paired by test image if the cells have only one common seed."""

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

# Differences that a suggestion of more seeds can name, in order of preference.  Those below 0.1 points come last.
DIFFERENCES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 0.0005, 0.0002, 0.0001)
MAX_SEEDS = 20  # total seeds that a suggestion may reach, or twice the present seeds if that is more


@dataclass(frozen=True)
class Compared:
    """The comparison of all cells that were tested on the same images.

    Each array in `pairs` has one value per pair: the positions of both cells (`first`, `second`), the fields of `Pair`
    that do not depend on other pairs, and `sd`, the standard deviation of the paired differences (NaN for one seed).
    """

    dataset: str  # the dataset's name, such as `mnist 1a2b3c4d`
    images: int  # number of test images
    cells: list[str]  # names of the cells
    runs: npt.NDArray[np.object_]  # names of the runs (cells, seeds), None where a seed has no run
    accuracies: Floats  # test accuracies (cells, seeds), NaN where a seed has no run
    pairs: Mapping[str, npt.NDArray[Any]]
    incomparable: tuple[tuple[int, int], ...]  # positions of the two cells of each pair that cannot be compared

    @cached_property
    def means(self) -> dict[str, float]:
        """The mean test accuracy of each cell over all its seeds, the best first."""
        means = [float(np.mean(row[~np.isnan(row)])) for row in self.accuracies]
        return dict(sorted(zip(self.cells, means, strict=True), key=lambda item: -item[1]))


def compare_cells(results: Results, right: Mapping[str, Bools], cells: Sequence[str] = ()) -> list[Compared]:
    """Compare every two cells that were tested on the same images, and return one item per dataset.

    `right` maps run names to arrays (N,) of correct predictions, and may lack runs.  Empty `cells`: all cells.
    """
    runs = results.runs.assign(measurements=_measurements(results), host=pd.factorize(results.runs["environment"])[0])
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
    n, mean, sd, superiority = _differences_by_seed(accuracies)
    right_alone = _count_right_alone(names, n, right)
    upper = np.triu(np.ones_like(n, dtype=bool), 1)
    usable = upper & ((n > 1) | ((n == 1) & (right_alone >= 0) & (right_alone.T >= 0)))
    incomparable = tuple((first, second) for first, second in np.argwhere(upper & ~usable).tolist())
    pair = np.nonzero(usable)
    single, spread = n[pair] == 1, np.maximum(sd[pair], statistics.rounding_sd(images))
    first, second = right_alone[pair], right_alone.T[pair]
    by_seed = statistics.t_interval(mean[pair], spread, np.maximum(n[pair], 2))
    by_image = (*statistics.accuracy_difference_interval(first, second, images), statistics.mcnemar(first, second))
    low, high, p = (np.where(single, *values) for values in zip(by_image, by_seed, strict=True))
    pairs = {
        **{"first": pair[0], "second": pair[1], "n": n[pair]},
        "difference": np.where(single, (first - second) / images, mean[pair]),
        **{"low": low, "high": high, "p": p},
        "sd": np.where(single, np.nan, spread),
        "superiority": superiority[pair],
        "equal": _rows_agree(table("measurements", -1))[pair],
        "across": ~_rows_agree(table("host", -1))[pair],
    }
    return Compared(str(runs["dataset_name"].iloc[0]), images, cells.tolist(), names, accuracies, pairs, incomparable)


def _measurements(results: Results) -> list[int]:
    """Return a number per run, which is equal for runs with bit-identical metrics in all epochs, apart from times."""
    at_end = results.runs.filter(regex="^(?!seconds/).*/").to_numpy(np.float64) + 0.0  # -0.0 becomes 0.0
    by_epoch = results.epochs.filter(regex="^(?!time/).*/").to_numpy(np.float64) + 0.0
    rows = results.epochs.groupby("run").indices  # positions of the epochs of each run
    numbers: dict[Hashable, int] = {}
    return [
        numbers.setdefault((at_end[k].tobytes(), by_epoch[rows[run]].tobytes()) if run in rows else k, len(numbers))
        for k, run in enumerate(results.runs["run"])
    ]


def _rows_agree(values: Counts) -> Bools:
    """Whether two rows are equal in all columns in which neither is -1 (missing), for every two rows (rows, rows)."""
    rows = [((values == row) | (values < 0) | (row < 0)).all(axis=1) for row in values]
    return np.array(rows, dtype=bool).reshape(len(values), len(values))


def _differences_by_seed(accuracies: Floats) -> tuple[Counts, Floats, Floats, Floats]:
    """For every two cells, the number of common seeds, the mean difference, its standard deviation, and `superiority`.

    The results are arrays (cells, cells), with 0 for cells without a common seed.  `superiority` is the share of seeds
    in which the row's cell beats the column's; ties count half (Bouthillier et al. 2021, P(A > B)).
    """
    cells = len(accuracies)
    n = np.zeros((cells, cells), dtype=np.int64)
    mean, sd, superiority = (np.zeros((cells, cells)) for _ in range(3))
    for row, values in enumerate(accuracies):  # a loop, because all pairs at once would need too much memory
        differences = values - accuracies
        common = ~np.isnan(differences)
        differences = np.where(common, differences, 0.0)
        n[row] = common.sum(axis=1)
        mean[row] = differences.sum(axis=1) / np.maximum(n[row], 1)
        squares = (np.where(common, differences - mean[row][:, None], 0.0) ** 2).sum(axis=1)
        sd[row] = np.sqrt(squares / np.maximum(n[row] - 1, 1))
        superiority[row] = np.where(common, np.sign(differences) + 1, 0.0).sum(axis=1) / 2 / np.maximum(n[row], 1)
    return n, mean, sd, superiority


def _count_right_alone(names: npt.NDArray[np.object_], n: Counts, right: Mapping[str, Bools]) -> Counts:
    """Count the images that only the row's cell classifies correctly; -1 for cells without exactly one common seed."""
    right_alone = np.full(n.shape, -1, dtype=np.int64)
    single = n == 1
    np.fill_diagonal(single, False)
    for runs in names.T:  # the runs of one seed
        rows = [row for row, name in enumerate(runs) if name in right and single[row].any()]
        if len(rows) < 2:
            continue
        answers = np.stack([right[runs[row]] for row in rows]).astype(np.float32)  # float32 sums are exact below 2**24
        both_right = (answers @ answers.T).astype(np.int64)
        block = np.ix_(rows, rows)
        right_alone[block] = np.where(single[block], both_right.diagonal()[:, None] - both_right, right_alone[block])
    return right_alone


def as_pairs(groups: Sequence[Compared]) -> tuple[Pair, ...]:
    """Return the pairs of all groups, with p values that Holm's method corrects over all groups together."""
    corrected = statistics.holm(np.concatenate([group.pairs["p"] for group in groups])) if groups else np.empty(0)
    level = ALPHA / max(int((corrected >= ALPHA).sum()), 1)  # Holm's level for the pairs that are not significant
    pairs: list[Pair] = []
    for group in groups:
        p_holm = corrected[len(pairs) : len(pairs) + len(group.pairs["p"])]
        pairs += _pairs_of(group, p_holm, len(corrected), level)
    return tuple(pairs)


def _pairs_of(group: Compared, p_holm: Floats, among: int, level: float) -> Iterator[Pair]:
    total = np.arange(2, max(MAX_SEEDS, 2 * int(group.pairs["n"].max(initial=1))) + 1)
    detected = statistics.detectable(total, level)
    columns = [column.tolist() for column in (*group.pairs.values(), p_holm)]
    for first, second, n, difference, low, high, p, sd, wins, equal, across, corrected in zip(*columns, strict=True):
        seeds, detects = None, None
        if n == 1:
            method, wins, differences = f"exact McNemar on {group.images:,} images", None, ()
        else:
            row = group.accuracies[first] - group.accuracies[second]
            method, differences = f"paired t over {n} seeds", tuple(row[~np.isnan(row)].tolist())
            if corrected >= ALPHA and not equal:
                seeds, detects = _enough_seeds(total, detected * sd, n)
        names = group.cells[first], group.cells[second]
        yield Pair(
            *(*names, difference, low, high, p, corrected, method, n, wins, among),
            *(seeds, detects, differences, group.images, equal, across),
        )


def _enough_seeds(total: Counts, detected: Floats, n: int) -> tuple[int, float] | tuple[None, None]:
    """The smallest number of seeds above `n` that detects a difference in `DIFFERENCES`, and this difference.

    `total` holds ascending numbers of seeds.  `detected` holds the difference that each number of seeds can detect.
    """
    for difference in DIFFERENCES:
        if detected[-1] <= difference and (enough := int(total[(detected <= difference).argmax()])) > n:
            return enough, difference
    return None, None
