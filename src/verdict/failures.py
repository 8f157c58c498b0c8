"""Counts the runs that failed or did not learn, and compares these counts between the levels of each factor."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from src.runs.identity import applies
from src.runs.naming import format_value, short_name
from src.verdict.accuracies import level_order
from src.verdict.statistics import accuracy_sd
from src.wording import counted, joined

MAX_LEVELS = 12
MAX_NAMED = 3


@dataclass(frozen=True)
class FailureCount:
    """How many runs with one level of a factor failed."""

    factor: str
    level: str
    failed: int
    runs: int

    @property
    def words(self) -> str:
        """The count, such as `norm none 4 of 10`."""
        return f"{self.factor} {self.level} {self.failed:,} of {self.runs:,}"


@dataclass(frozen=True)
class FailureDifference:
    """A significant difference of the shares of failed runs (Fisher's exact test)."""

    more: FailureCount
    less: FailureCount
    p: float

    @property
    def words(self) -> str:
        """The difference as a sentence."""
        more, less = (f"{count.failed:,} of {counted(count.runs, 'run')}" for count in (self.more, self.less))
        return f"{self.more.factor} {self.more.level} fails more often than {self.less.level}: {more} against {less}"


def chance_level(share: float, images: int) -> float:
    """The accuracy (0 to 1) that a network must exceed to have learned anything.

    `share` is the share of the most frequent class in the test images.  Naming this class for every image reaches that
    accuracy; three standard deviations of the rounding to a sample of images are added.
    """
    return share + 3 * accuracy_sd(share, images)


def count_failures(settings: pd.DataFrame, failed: Sequence[bool], factors: Sequence[str]) -> list[FailureCount]:
    """Count the failed runs at each level of each factor.  `settings` has a row per run, failed runs included."""
    counts = []
    for path in factors:
        applicable = [applies(path, dict(row)) for _, row in settings.iterrows()]
        levels = sorted({*settings.loc[applicable, path]}, key=level_order)
        if not 1 < len(levels) <= MAX_LEVELS:
            continue
        for level in levels:
            chosen = [a and value == level for a, value in zip(applicable, settings[path], strict=True)]
            number = sum(f for f, c in zip(failed, chosen, strict=True) if c)
            counts.append(FailureCount(short_name(path, factors), format_value(level), number, sum(chosen)))
    return counts


def failure_differences(counts: Sequence[FailureCount], alpha: float) -> list[FailureDifference]:
    """Return the pairs of levels whose shares of failed runs differ significantly (Bonferroni over all pairs)."""
    from scipy import stats  # takes 0.7 s to import, and most sweeps have no failed run

    pairs = [pair for pair in combinations(counts, 2) if pair[0].factor == pair[1].factor]
    found = []
    for first, second in pairs:
        table = [[count.failed, count.runs - count.failed] for count in (first, second)]
        p = float(stats.fisher_exact(table).pvalue)
        if p < alpha / len(pairs):
            more, less = sorted((first, second), key=lambda count: -count.failed / count.runs)
            found.append(FailureDifference(more, less, p))
    return found


def failures_sentence(total: int, counts: Sequence[FailureCount], differences: Sequence[FailureDifference]) -> str:
    """Say how many runs failed, of which levels, and whether that differs between levels."""
    by_level = [count.words for count in sorted(counts, key=lambda count: -count.failed / count.runs) if count.failed]
    failed = sum(count.failed for count in counts if count.factor == counts[0].factor) if counts else 0
    listed = f" ({joined(by_level, MAX_NAMED)})" if by_level else ""
    text = f"{failed:,} of {counted(total, 'run')} failed{listed}; means are of the runs that trained"
    return "; ".join([text, *(difference.words for difference in differences[:1])])
