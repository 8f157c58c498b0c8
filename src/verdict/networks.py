"""Compares trained networks image by image, which is all that one seed allows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from src.results.statistics import ALPHA, Bools, holm, mcnemar
from src.verdict.accuracies import Accuracies
from src.verdict.points import points_text
from src.wording import counted


@dataclass(frozen=True)
class NetworkPair:
    """Two networks with the same seed, tested on the same images; accuracies go from 0 to 1."""

    better: str  # the cell of the network with more correct images
    worse: str
    difference: float  # accuracy of `better` minus accuracy of `worse`, not negative
    disputed: int  # images that exactly one of the networks classifies correctly
    images: int  # number of test images
    p: float  # exact McNemar test, for this pair alone
    p_holm: float  # corrected by Holm's method for all pairs of the comparison

    @property
    def significant(self) -> bool:
        """Whether the networks differ significantly."""
        return self.p_holm < ALPHA

    @property
    def sentence(self) -> str:
        """The result as a sentence."""
        size = f"{points_text(self.difference)} points"
        if self.significant:
            return f"the network {self.better} is more accurate than {self.worse} by {size}"
        return f"the networks {self.better} and {self.worse} do not differ significantly ({size})"


def compare_networks(tables: Sequence[Accuracies], correct_by_run: Mapping[str, Bools]) -> list[NetworkPair]:
    """Return every pair of cells on the same dataset with readable predictions of the same seed; cells have one seed.

    `correct_by_run` maps run names to arrays (N,) that mark the test images that the run classifies correctly.
    """
    pairs = [pair for table in tables for pair in _pairs_with_same_seed(table, correct_by_run)]
    corrected = holm(np.array([pair.p for pair in pairs])).tolist() if pairs else []
    return [replace(pair, p_holm=p) for pair, p in zip(pairs, corrected, strict=True)]


def _pairs_with_same_seed(table: Accuracies, correct_by_run: Mapping[str, Bools]) -> Iterator[NetworkPair]:
    for column in range(table.runs.shape[1]):
        rows = [row for row, run in enumerate(table.runs[:, column]) if run in correct_by_run]
        if len(rows) < 2:
            continue
        correct = np.stack([correct_by_run[table.runs[row, column]] for row in rows]).astype(np.float32)
        both_right = (correct @ correct.T).astype(np.int64)  # sums are exact below 2**24
        only_row_right = both_right.diagonal()[:, None] - both_right  # images that only the row's network gets right
        first_rows, second_rows = np.triu_indices(len(rows), 1)
        p_values = mcnemar(only_row_right[first_rows, second_rows], only_row_right[second_rows, first_rows])
        for first, second, p in zip(first_rows.tolist(), second_rows.tolist(), p_values.tolist(), strict=True):
            margin = int(only_row_right[first, second] - only_row_right[second, first])
            better, worse = (first, second) if margin >= 0 else (second, first)
            names = table.cells[rows[better]], table.cells[rows[worse]]
            disputed_count = int(only_row_right[first, second] + only_row_right[second, first])
            yield NetworkPair(*names, abs(margin) / table.images, disputed_count, int(table.images), p, p)


def networks_sentence(pairs: list[NetworkPair]) -> str:
    """Say which networks differ, and how large a significant difference would be."""
    largest = max(pairs, key=lambda pair: (pair.difference, -pair.p))
    significant_count = sum(pair.significant for pair in pairs)
    if not largest.difference:
        return "All networks have the same accuracy"
    lead_text = f"{largest.better} leads {largest.worse} by {points_text(largest.difference)} points"
    if significant_count:
        subject = "They differ" if len(pairs) == 1 else f"{significant_count:,} of {counted(len(pairs), 'pair')} differ"
        return f"{subject} significantly; {lead_text}"
    needed = significant_difference(largest.disputed, ALPHA / len(pairs)) / largest.images
    limit_text = f" (about {points_text(needed)} needed)" if largest.difference < needed <= 1 else ""
    subject = "The two do not differ" if len(pairs) == 1 else "No two differ"
    gap = "the gap" if len(pairs) == 1 else "the largest gap"
    return f"{subject} significantly: {gap} is {points_text(largest.difference)} points{limit_text}"


def significant_difference(disputed: int, alpha: float) -> int:
    """The smallest number of images between two networks that is significant, if they disagree on `disputed` images.

    Networks that differ by more images also disagree on more images, so at least the difference itself is disputed.
    """
    lead = 1
    while True:
        total = max(disputed, lead)
        total += (total - lead) % 2
        smaller = (total - lead) // 2
        if mcnemar(np.array([smaller]), np.array([total - smaller]))[0] < alpha:
            return lead
        lead += 1
