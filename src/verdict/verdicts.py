"""Draws the conclusions of a comparison under one promise: all of them hold in at least 95 % of sweeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from src.results.results import Results
from src.runs.sweep import Sweep
from src.verdict.accuracies import Accuracies, accuracies_by_dataset
from src.verdict.advice import Advice, advise, cost_text, first_seeds
from src.verdict.best import Best, find_best
from src.verdict.contrasts import (
    CELL,
    Contrast,
    contrasts_by_setting,
    factor_contrasts,
    forms_grid,
    interactions,
    with_intervals,
)
from src.verdict.failures import (
    FailureCount,
    FailureDifference,
    chance_level,
    count_failures,
    failure_differences,
)
from src.verdict.networks import NetworkPair, compare_networks
from src.verdict.statistics import ALPHA, Bools
from src.wording import counted, joined

# How the error probability of a look is divided among the kinds of statements.
EFFECTS, BEST, INTERACTIONS, FAILURES = 0.55, 0.35, 0.05, 0.05
MAX_PAIRED_LEVELS = 5  # with one factor of up to this many levels, the contrasts also show which level may be the best
EQUAL_WITHIN = 0.001  # default of `compare.equal`, as a difference of accuracies from 0 to 1


@dataclass(frozen=True)
class Promise:
    """The error probability that a comparison may spend.

    All statements about methods that a comparison makes are true in at least 1 - `level` of sweeps.
    """

    level: float = 0.95 * ALPHA
    next_level: float = 0.95 * 0.05 * ALPHA  # of the next look at the same methods
    look: int = 1
    last: bool = False  # no further look is planned, so no more seeds are suggested
    equal_within: float = EQUAL_WITHIN


@dataclass(frozen=True)
class Verdicts:
    """All conclusions of a comparison.  Numbers go from 0 to 1; sentences use percentage points."""

    promise: Promise
    seeds: tuple[int, int]  # smallest and largest number of seeds of the compared cells
    contrasts: tuple[Contrast, ...] = ()  # between the levels of each factor, with simultaneous intervals
    interactions: tuple[Contrast, ...] = ()  # only significant ones
    best: tuple[Best, ...] = ()  # one per dataset
    networks: tuple[NetworkPair, ...] = ()  # every pair of trained networks; only if all cells have one seed
    networks_best: tuple[str, ...] = ()  # the sentences about the choice by validation, if all cells have one seed
    failures: tuple[FailureCount, ...] = ()
    failure_differences: tuple[FailureDifference, ...] = ()
    failed: int = 0  # runs that failed or did not learn
    no_method_learned: tuple[str, ...] = ()  # sentences about datasets on which no run learned anything
    left_out: tuple[str, ...] = ()  # sentences about the cells that are not compared
    advice: Advice | None = None
    cost: str = ""
    runs: int = 0  # runs of the compared methods, with failed ones
    factors: tuple[str, ...] = field(default=())

    @property
    def open_contrasts(self) -> tuple[Contrast, ...]:
        """The contrasts that are neither decided nor equal."""
        return tuple(contrast for contrast in self.contrasts if contrast.outcome == "open")

    @property
    def open(self) -> bool:
        """Whether a question about methods is still open."""
        return bool(self.open_contrasts or self.networks or any(not best.decided for best in self.best))


def judge(
    sweeps: Sequence[Sweep],
    results: Results,
    correct_by_run: Mapping[str, Bools],
    promise: Promise | None = None,
    largest_class: Mapping[str, float] | None = None,
) -> Verdicts:
    """Compare the methods of the finished runs.

    `correct_by_run` maps run names to arrays (N,) that mark the correctly classified test images; only a comparison
    with one seed needs it.  `largest_class` gives the share of the most frequent class (0 to 1) by dataset digest.
    """
    promise = promise or Promise()
    factors = list(results.varies)
    learned, no_method_learned = _learned(results, largest_class or {})
    runs = results.runs[learned]
    failed = [*(~learned).tolist(), *([True] * len(results.failed))]
    settings = pd.concat([results.runs, pd.DataFrame([dict(leaves) for leaves in results.failed])], ignore_index=True)
    counts = count_failures(settings, failed, factors) if any(failed) else []
    tables = accuracies_by_dataset(results, factors, runs)
    verdicts = Verdicts(
        promise,
        (0, 0),
        failures=tuple(counts),
        failure_differences=tuple(failure_differences(counts, FAILURES * promise.level)),
        failed=sum(failed),
        no_method_learned=tuple(no_method_learned),
        left_out=tuple(_datasets_text(tables)),
        runs=len(failed),
        factors=tuple(factors),
    )
    if not tables:
        return verdicts
    if max(int(table.seed_counts.max()) for table in tables) == 1:
        return _judge_networks(verdicts, sweeps, tables, results, correct_by_run)
    return _judge_methods(verdicts, sweeps, tables, results)


def _learned(results: Results, largest_class: Mapping[str, float]) -> tuple["pd.Series[bool]", list[str]]:
    """Mark the runs that learned something; on a dataset on which none did, all count and a sentence says so."""
    learned = pd.Series(True, index=results.runs.index)
    sentences = []
    for digest, runs in results.runs.groupby("dataset", sort=False):
        source = results.sources[str(digest)]
        share = largest_class.get(str(digest)) or 1 / len(source["classes"])
        above = runs["test/accuracy"] > chance_level(share, int(source["test"]))
        if above.any():
            learned[above.index] = above
        else:
            best = runs["test/accuracy"].max()
            sentences.append(
                f"No method learned {runs['dataset_name'].iloc[0]}: the best run has {100 * best:.2f} %, and naming "
                f"one class for every image reaches {100 * share:.2f} %"
            )
    return learned, sentences


def _judge_networks(
    verdicts: Verdicts,
    sweeps: Sequence[Sweep],
    tables: Sequence[Accuracies],
    results: Results,
    correct_by_run: Mapping[str, Bools],
) -> Verdicts:
    pairs = [pair for table in tables for pair in compare_networks(table, correct_by_run)]
    best = [find_best(table, ALPHA, verdicts.promise.equal_within) for table in tables]
    advice = first_seeds(sweeps) if len(tables[0].cells) > 1 else None
    return replace(
        verdicts,
        seeds=(1, 1),
        networks=tuple(pairs),
        networks_best=tuple(item.choice_words for item in best),
        advice=advice,
        cost=cost_text(advice, results) if advice else "",
    )


def _judge_methods(
    verdicts: Verdicts, sweeps: Sequence[Sweep], tables: Sequence[Accuracies], results: Results
) -> Verdicts:
    promise, factors = verdicts.promise, verdicts.factors
    single = [name for table in tables for name in np.array(table.cells)[table.seed_counts < 2].tolist()]
    left_out = [f"{joined(single)} {'has' if len(single) == 1 else 'have'} one seed and cannot be compared"]
    tables = [table.select(table.seed_counts > 1) for table in tables]
    tables = [table for table in tables if len(table.cells)]
    contrasts, significant, best = compare_methods(tables, factors, promise)
    undecided = [item for item in contrasts if item.outcome == "open" and item.n > 1]
    advice = None
    if undecided and not promise.last:
        advice = advise(sweeps, undecided, promise.next_level / promise.level, promise.look)
    counts = np.concatenate([table.seed_counts for table in tables])
    return replace(
        verdicts,
        seeds=(int(counts.min()), int(counts.max())),
        contrasts=contrasts,
        interactions=significant,
        best=best,
        left_out=(*verdicts.left_out, *(left_out if single else [])),
        advice=advice,
        cost=cost_text(advice, results) if advice else "",
    )


def compare_methods(
    tables: Sequence[Accuracies], factors: Sequence[str], promise: Promise
) -> tuple[tuple[Contrast, ...], tuple[Contrast, ...], tuple[Best, ...]]:
    """Return the contrasts of all factors, the significant interactions, and the cells that may be the best.

    Every cell has at least two seeds.  All statements together are false with a probability of at most `promise.level`.
    """
    level = promise.level / max(len(tables), 1)
    results = [_compare_on_dataset(table, factors, level, promise.equal_within) for table in tables]
    names = [table.dataset if len(tables) > 1 else "" for table in tables]
    named = list(zip(names, results, strict=True))
    return (
        tuple(replace(item, dataset=name) for name, (contrasts, _, _) in named for item in contrasts),
        tuple(replace(item, dataset=name) for name, (_, significant, _) in named for item in significant),
        tuple(best for _, (_, _, found) in named for best in found),
    )


def _compare_on_dataset(
    table: Accuracies, factors: Sequence[str], level: float, equal_within: float
) -> tuple[list[Contrast], list[Contrast], list[Best]]:
    contrasts = factor_contrasts(table, factors, equal_within)
    if not forms_grid(table, factors, contrasts) and len(table.cells) <= MAX_PAIRED_LEVELS:
        # For example, each optimizer has a learning rate of its own: then the cells themselves are the levels.
        table, factors = replace(table, levels=tuple((cell,) for cell in table.cells)), [CELL]
        contrasts = factor_contrasts(table, factors, equal_within)
    effects_share, best_share, interactions_share = _shares(table, factors, bool(contrasts))
    tested = with_intervals(interactions(table, factors, equal_within), interactions_share * level)
    significant = [item for item in tested if item.outcome == "better"]
    contrasts = with_intervals(contrasts, effects_share * level)
    contrasts = _split_by_interactions(contrasts, significant, table, factors)
    best = [find_best(table, best_share * level, equal_within)] if len(table.cells) > 1 else []
    return contrasts, significant, best


def _shares(table: Accuracies, factors: Sequence[str], has_contrasts: bool) -> tuple[float, float, float]:
    """The shares of the error probability for contrasts, for the best cell, and for interactions."""
    everything = 1 - FAILURES
    if not has_contrasts:
        return 0.0, everything, 0.0
    if len(factors) > 1:
        return EFFECTS, BEST, INTERACTIONS
    levels = len(table.cells)
    if levels <= MAX_PAIRED_LEVELS:  # then a test against the best cell equals the test of a contrast
        return everything, everything / levels, 0.0
    return EFFECTS + INTERACTIONS, BEST, 0.0


def _split_by_interactions(
    contrasts: Sequence[Contrast], significant: Sequence[Contrast], table: Accuracies, factors: Sequence[str]
) -> list[Contrast]:
    """Replace a contrast by one contrast per level of a factor with which it interacts; an average would mislead."""
    split: list[Contrast] = []
    for contrast in contrasts:
        others = [other for item in significant if (other := _other_factor(item, contrast))]
        if others:
            split += with_intervals(contrasts_by_setting(table, factors, contrast, others[0]), contrast.alpha)
        else:
            split.append(contrast)
    return split


def _other_factor(interaction: Contrast, contrast: Contrast) -> str | None:
    """The factor that an interaction shows to change a contrast; None if the interaction has other levels."""
    names = interaction.factor.split(" x ")
    levels = zip(interaction.first.split(", "), interaction.second.split(", "), strict=True)
    for name, other, pair in zip(names, reversed(names), levels, strict=True):
        if name == contrast.factor and set(pair) == {contrast.first, contrast.second}:
            return other
    return None


def _datasets_text(tables: Sequence[Accuracies]) -> list[str]:
    if len(tables) < 2:
        return []
    sets = [f"{table.dataset} ({counted(len(table.cells), 'cell')})" for table in tables]
    return [f"Cells tested on different images are not compared with each other: {joined(sets, 8)}"]
