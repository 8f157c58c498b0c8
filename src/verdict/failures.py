"""Counts the runs that failed or did not learn, and compares these counts between the levels of each factor."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from src.runs.identity import applies
from src.runs.naming import format_value, short_name
from src.verdict.accuracies import NOT_READ, Levels, level_order
from src.verdict.statistics import accuracy_sd, fisher_exact
from src.wording import counted, joined

MAX_LEVELS = 12
MAX_NAMED = 3


@dataclass(frozen=True)
class FailureCount:
    """How many runs with one level of a factor failed, and in how many seeds."""

    factor: str
    level: str
    failed: int
    runs: int
    failed_seeds: int  # seeds in which a run failed
    seeds: int
    settings: frozenset[Levels]  # levels of the other factors

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
    """A significant difference of the shares of seeds in which a run failed (Fisher's exact test)."""

    more: FailureCount
    less: FailureCount
    p: float

    @property
    def words(self) -> str:
        """The difference as a sentence."""
        more, less = (f"{count.failed_seeds:,} of {counted(count.seeds, 'seed')}" for count in (self.more, self.less))
        return f"{self.more.label} fails more often than {self.less.label}: in {more} against {less}"


def chance_level(share: float, images: int) -> float:
    """The accuracy (0 to 1) that a network must exceed to have learned anything.

    `share` is the share of the most frequent class in the test images.  Naming this class for every image reaches that
    accuracy; three standard deviations of the rounding to a sample of images are added.
    """
    return share + 3 * accuracy_sd(share, images)


def count_failures(settings: pd.DataFrame, failed: Sequence[bool], factors: Sequence[str]) -> list[FailureCount]:
    """Count the failed runs at each level of each factor.  `settings` has a row per run, failed runs included."""
    rows = [{str(key): value for key, value in row.items()} for row in settings.to_dict("records")]
    levels = [tuple(row[path] if applies(path, row) else NOT_READ for path in factors) for row in rows]
    return failures_by_level(levels, settings["seed"].tolist(), failed, factors)


def failures_by_level(
    levels: Sequence[Levels], seeds: Sequence[int], failed: Sequence[bool], factors: Sequence[str]
) -> list[FailureCount]:
    """Count the failed runs at each level of each factor; the sequences have an item per run."""
    counts = []
    for position, path in enumerate(factors):
        by_level: dict[Any, list[int]] = {}
        for run, of_run in enumerate(levels):
            by_level.setdefault(of_run[position], []).append(run)
        by_level.pop(NOT_READ, None)
        if not 1 < len(by_level) <= MAX_LEVELS:
            continue
        for level in sorted(by_level, key=level_order):
            runs = by_level[level]
            count = FailureCount(
                short_name(path, factors),
                format_value(level),
                failed=sum(failed[run] for run in runs),
                runs=len(runs),
                failed_seeds=len({seeds[run] for run in runs if failed[run]}),
                seeds=len({seeds[run] for run in runs}),
                settings=frozenset(levels[run][:position] + levels[run][position + 1 :] for run in runs),
            )
            counts.append(count)
    return counts


def failure_differences(counts: Sequence[FailureCount], alpha: float) -> list[FailureDifference]:
    """Return the pairs of levels with significantly different shares of seeds in which a run failed.

    Bonferroni's correction covers all pairs of levels with the same settings of the other factors.  The test counts
    seeds: runs that share a seed may fail together, because they share the first weights and the order of the images.
    """
    pairs = [
        (first, second)
        for first, second in combinations(counts, 2)
        if (first.factor, first.settings) == (second.factor, second.settings)
    ]
    found = []
    for first, second in pairs:
        p = fisher_exact((first.failed_seeds, first.seeds), (second.failed_seeds, second.seeds))
        if p < alpha / len(pairs):
            more, less = sorted((first, second), key=lambda count: -count.failed_seeds / count.seeds)
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
    text = f"{failed:,} of {counted(runs, 'run')} failed or learned nothing{f' ({by_level})' if by_level else ''}"
    return "; ".join([f"{text}, and the means leave them out", *(difference.words for difference in differences[:1])])
