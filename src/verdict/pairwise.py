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

# A suggestion of more seeds names the first of these differences that an allowed number of seeds can detect.
DIFFERENCES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 0.0005, 0.0002, 0.0001)
MAX_SEEDS = 20  # a suggestion may reach this total, or twice the present number of seeds if that is more


@dataclass(frozen=True)
class DatasetComparison:
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


def compare_cells(
    results: Results, correct_by_run: Mapping[str, Bools], cells: Sequence[str] = ()
) -> list[DatasetComparison]:
    """Compare every two cells that were tested on the same images, and return one comparison per dataset.

    `correct_by_run` maps run names to arrays (N,) that mark correct predictions.  Without `cells`, all are compared.
    """
    environment_ids = pd.factorize(results.runs["environment"])[0]
    runs = results.runs.assign(measurement_id=_measurement_ids(results), environment_id=environment_ids)
    if cells:
        runs = runs.set_index("cell").loc[list(cells)].reset_index()
    groups = runs.groupby("dataset", sort=False)
    return [_compare(group, int(results.sources[str(digest)]["test"]), correct_by_run) for digest, group in groups]


def _compare(runs: pd.DataFrame, images: int, correct_by_run: Mapping[str, Bools]) -> DatasetComparison:
    (row, cells), (column, seeds) = pd.factorize(runs["cell"]), pd.factorize(runs["seed"], sort=True)

    def table(name: str, missing: float | None) -> npt.NDArray[Any]:
        values = np.full((len(cells), len(seeds)), missing)
        values[row, column] = runs[name]
        return values

    names, accuracies = table("run", None), table("test/accuracy", np.nan)
    n, mean, sd, superiority = _differences_by_seed(accuracies)
    right_alone = _count_right_alone(names, n, correct_by_run)
    upper = np.triu(np.ones_like(n, dtype=bool), 1)
    comparable = upper & ((n > 1) | ((n == 1) & (right_alone >= 0) & (right_alone.T >= 0)))
    incomparable = tuple((first, second) for first, second in np.argwhere(upper & ~comparable).tolist())
    pair = np.nonzero(comparable)
    single, spread = n[pair] == 1, np.maximum(sd[pair], statistics.rounding_sd(images))
    alone = right_alone[pair], right_alone.T[pair]  # numbers of images that only the first or second cell gets right
    by_seed = statistics.t_interval(mean[pair], spread, np.maximum(n[pair], 2))
    by_image = (*statistics.accuracy_difference_interval(*alone, images), statistics.mcnemar(*alone))
    low, high, p = (np.where(single, *values) for values in zip(by_image, by_seed, strict=True))
    pairs = {
        **{"first": pair[0], "second": pair[1], "n": n[pair]},
        "difference": np.where(single, (alone[0] - alone[1]) / images, mean[pair]),
        **{"low": low, "high": high, "p": p},
        "sd": np.where(single, np.nan, spread),
        "superiority": superiority[pair],
        "equal": _rows_agree(table("measurement_id", -1))[pair],
        "across": ~_rows_agree(table("environment_id", -1))[pair],
    }
    dataset = str(runs["dataset_name"].iloc[0])
    return DatasetComparison(dataset, images, cells.tolist(), names, accuracies, pairs, incomparable)


def _measurement_ids(results: Results) -> list[int]:
    """Number the runs.  Runs with bit-identical metrics in all epochs get the same number; times do not count."""
    final_metrics = results.runs.filter(regex="^(?!seconds/).*/").to_numpy(np.float64) + 0.0  # -0.0 becomes 0.0
    epoch_metrics = results.epochs.filter(regex="^(?!time/).*/").to_numpy(np.float64) + 0.0
    rows = results.epochs.groupby("run").indices  # rows of `epoch_metrics` by run
    ids: dict[Hashable, int] = {}
    return [
        ids.setdefault((final_metrics[k].tobytes(), epoch_metrics[rows[run]].tobytes()) if run in rows else k, len(ids))
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


def _count_right_alone(names: npt.NDArray[np.object_], n: Counts, correct_by_run: Mapping[str, Bools]) -> Counts:
    """Count the images that only the row's cell classifies correctly; -1 for cells without exactly one common seed."""
    right_alone = np.full(n.shape, -1, dtype=np.int64)
    single = n == 1
    np.fill_diagonal(single, False)
    for runs in names.T:  # the runs of one seed
        rows = [row for row, name in enumerate(runs) if name in correct_by_run and single[row].any()]
        if len(rows) < 2:
            continue
        correct = np.stack([correct_by_run[runs[row]] for row in rows]).astype(np.float32)  # sums are exact below 2**24
        both_right = (correct @ correct.T).astype(np.int64)
        block = np.ix_(rows, rows)
        right_alone[block] = np.where(single[block], both_right.diagonal()[:, None] - both_right, right_alone[block])
    return right_alone


def as_pairs(groups: Sequence[DatasetComparison]) -> tuple[Pair, ...]:
    """Return the pairs of all datasets.  Holm's correction covers the pairs of all datasets together."""
    corrected = statistics.holm(np.concatenate([group.pairs["p"] for group in groups])) if groups else np.empty(0)
    # The level at which Holm's method stops: alpha / number of pairs that are not significant.
    level = ALPHA / max(int((corrected >= ALPHA).sum()), 1)
    pairs: list[Pair] = []
    for group in groups:
        pairs += _pairs_of(group, corrected[len(pairs) : len(pairs) + len(group.pairs["p"])], len(corrected), level)
    return tuple(pairs)


def _pairs_of(group: DatasetComparison, p_holm: Floats, among: int, level: float) -> Iterator[Pair]:
    seed_counts = np.arange(2, max(MAX_SEEDS, 2 * int(group.pairs["n"].max(initial=1))) + 1)
    detectable = statistics.detectable(seed_counts, level)
    columns = [column.tolist() for column in (*group.pairs.values(), p_holm)]
    for first, second, n, difference, low, high, p, sd, wins, equal, across, corrected in zip(*columns, strict=True):
        seeds, detects = None, None
        if n == 1:
            method, wins, differences = f"exact McNemar on {group.images:,} images", None, ()
        else:
            row = group.accuracies[first] - group.accuracies[second]
            method, differences = f"paired t over {n} seeds", tuple(row[~np.isnan(row)].tolist())
            if corrected >= ALPHA and not equal:
                seeds, detects = _enough_seeds(seed_counts, detectable * sd, n)
        yield Pair(
            *(group.cells[first], group.cells[second], difference, low, high, p, corrected, method, n, wins, among),
            *(seeds, detects, differences, group.images, equal, across),
        )


def _enough_seeds(seed_counts: Counts, detectable: Floats, n: int) -> tuple[int, float] | tuple[None, None]:
    """The smallest number of seeds above `n` that detects a difference in `DIFFERENCES`, and this difference.

    `seed_counts` holds ascending numbers of seeds, `detectable` the difference that each number of seeds can detect.
    """
    for difference in DIFFERENCES:
        if detectable[-1] <= difference and (enough_seeds := int(seed_counts[(detectable <= difference).argmax()])) > n:
            return enough_seeds, difference
    return None, None
