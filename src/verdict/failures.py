"""Counts the runs that failed or did not learn, and compares these counts between the levels of each factor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from src.results.statistics import accuracy_sd, fisher_exact
from src.runs.identity import applies
from src.runs.naming import format_value, short_name
from src.verdict.accuracies import NOT_READ, Levels, level_sort_key
from src.verdict.contrasts import MAX_LEVELS
from src.wording import counted, joined

MAX_NAMED = 3


@dataclass(frozen=True)
class FailureCount:
    """How many runs with one level of a factor failed, and in how many seeds."""

    factor: str
    level: str
    failed_run_count: int
    run_count: int
    failed_seed_count: int  # seeds in which a run failed
    seed_count: int
    settings: frozenset[Levels]  # levels of the other factors

    @property
    def label(self) -> str:
        """The level's name, such as `bn` or `lr=1`."""
        return self.level if self.factor == "norm" else f"{self.factor}={self.level}"

    @property
    def sentence(self) -> str:
        """The count, such as `none: 4 of 10` or `lr=1: 4 of 10`."""
        return f"{self.label}: {self.failed_run_count:,} of {self.run_count:,}"


@dataclass(frozen=True)
class FailureDifference:
    """A significant difference of the shares of seeds in which a run failed (Fisher's exact test)."""

    more: FailureCount
    less: FailureCount
    p: float

    @property
    def sentence(self) -> str:
        """The difference as a sentence."""
        pair = self.more, self.less
        more_text, less_text = (f"{count.failed_seed_count:,} of {counted(count.seed_count, 'seed')}" for count in pair)
        return f"{self.more.label} fails more often than {self.less.label}: in {more_text} against {less_text}"


def chance_level(share: float, images: int) -> float:
    """The accuracy (0 to 1) that a network must exceed to have learned anything.

    `share` is the share of the most frequent class in the test images.  Naming this class for every image reaches that
    accuracy; three standard deviations of the rounding to a sample of images are added.
    """
    return share + 3 * accuracy_sd(share, images)


def count_failures(
    runs: Sequence[Mapping[str, Any]], failed: Sequence[bool], factors: Sequence[str]
) -> list[FailureCount]:
    """Count the failed runs at each level of each factor.  `runs` are the settings of all runs, also of failed ones."""
    levels = [tuple(run[path] if applies(path, run) else NOT_READ for path in factors) for run in runs]
    return failures_by_level(levels, [run["seed"] for run in runs], failed, factors)


def failures_by_level(
    levels: Sequence[Levels], seeds: Sequence[int], failed: Sequence[bool], factors: Sequence[str]
) -> list[FailureCount]:
    """Count the failed runs at each level of each factor; the sequences have an item per run."""
    counts = []
    for position, path in enumerate(factors):
        runs_by_level: dict[Any, list[int]] = {}
        for run, run_levels in enumerate(levels):
            runs_by_level.setdefault(run_levels[position], []).append(run)
        runs_by_level.pop(NOT_READ, None)
        if not 1 < len(runs_by_level) <= MAX_LEVELS:
            continue
        for level in sorted(runs_by_level, key=level_sort_key):
            level_runs = runs_by_level[level]
            count = FailureCount(
                short_name(path, factors),
                format_value(level),
                failed_run_count=sum(failed[run] for run in level_runs),
                run_count=len(level_runs),
                failed_seed_count=len({seeds[run] for run in level_runs if failed[run]}),
                seed_count=len({seeds[run] for run in level_runs}),
                settings=frozenset(levels[run][:position] + levels[run][position + 1 :] for run in level_runs),
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
    differences = []
    for first, second in pairs:
        p = fisher_exact((first.failed_seed_count, first.seed_count), (second.failed_seed_count, second.seed_count))
        if p < alpha / len(pairs):
            more, less = sorted((first, second), key=lambda count: -count.failed_seed_count / count.seed_count)
            differences.append(FailureDifference(more, less, p))
    return differences


def failures_sentence(
    failed_run_count: int, run_count: int, counts: Sequence[FailureCount], differences: Sequence[FailureDifference]
) -> str:
    """Say how many of the runs failed, at which levels, and whether the levels differ; empty if no run failed."""
    if not failed_run_count:
        return ""
    highest_first = sorted(counts, key=lambda count: -count.failed_run_count / count.run_count)
    levels_text = joined([count.sentence for count in highest_first if count.failed_run_count], MAX_NAMED)
    levels_text = f" ({levels_text})" if levels_text else ""
    text = f"{failed_run_count:,} of {counted(run_count, 'run')} failed or learned nothing{levels_text}"
    return "; ".join([f"{text}, and the means omit them", *(found.sentence for found in differences[:1])])
