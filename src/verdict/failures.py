"""Counts the runs that failed or did not learn, and compares these counts between the levels of each factor."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from src.runs.identity import applies
from src.runs.naming import format_value, short_name
from src.verdict.accuracies import level_order
from src.verdict.statistics import accuracy_sd, fisher_exact
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
    def label(self) -> str:
        """The level's name, such as `bn` or `lr=1`."""
        return self.level if self.factor == "norm" else f"{self.factor}={self.level}"

    @property
    def words(self) -> str:
        """The count, such as `none: 4 of 10` or `lr=1: 4 of 10`."""
        return f"{self.label}: {self.failed:,} of {self.runs:,}"


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
        return f"{self.more.label} fails more often than {self.less.label}: {more} against {less}"


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
    pairs = [pair for pair in combinations(counts, 2) if pair[0].factor == pair[1].factor]
    found = []
    for first, second in pairs:
        p = fisher_exact((first.failed, first.runs), (second.failed, second.runs))
        if p < alpha / len(pairs):
            more, less = sorted((first, second), key=lambda count: -count.failed / count.runs)
            found.append(FailureDifference(more, less, p))
    return found


def failures_sentence(
    failed: int, runs: int, counts: Sequence[FailureCount], differences: Sequence[FailureDifference]
) -> str:
    """Say how many of the runs failed, at which levels, and whether the levels differ; empty if no run failed."""
    if not failed:
        return ""
    highest_first = sorted(counts, key=lambda count: -count.failed / count.runs)
    by_level = joined([count.words for count in highest_first if count.failed], MAX_NAMED)
    text = f"{failed:,} of {counted(runs, 'run')} failed{f' ({by_level})' if by_level else ''}"
    return "; ".join([f"{text}, and the means leave them out", *(difference.words for difference in differences[:1])])
