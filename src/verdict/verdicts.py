"""Draws the conclusions of a comparison under one promise: all of them hold in at least 95 % of sweeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from src.config import SOURCES
from src.results.results import Results
from src.results.statistics import ALPHA, Bools
from src.results.variance import variance_by_source
from src.runs.paper import Paper
from src.runs.sweep import Sweep
from src.verdict.accuracies import Accuracies, accuracies_by_dataset
from src.verdict.advice import (
    Advice,
    advise,
    advise_after_search,
    advise_one_seed,
    advise_same_seeds,
    best_questions,
)
from src.verdict.best import Best, find_best
from src.verdict.claims import JudgedClaim
from src.verdict.commands import cost_text, count_new_runs, is_search, seeds_for_all
from src.verdict.contrast import Contrast
from src.verdict.failures import FailureCount, FailureDifference, chance_level, count_failures, failure_differences
from src.verdict.methods import FAILURES_SHARE, Promise, compare_methods
from src.verdict.networks import NetworkPair, compare_networks
from src.verdict.points import ACCURACY, Measure
from src.wording import counted, joined


@dataclass(frozen=True)
class Verdicts:
    """All conclusions of a comparison.  Numbers go from 0 to 1; sentences use percentage points."""

    promise: Promise
    learned_runs: frozenset[str]  # names of the runs that learned something
    tables: tuple[Accuracies, ...] = ()  # the accuracies of these runs, one object per dataset
    seed_range: tuple[int, int] = (0, 0)  # smallest and largest number of seeds of the compared cells
    contrasts: tuple[Contrast, ...] = ()  # between the levels of each factor, with simultaneous intervals
    interactions: tuple[Contrast, ...] = ()  # only significant ones
    best: tuple[Best, ...] = ()  # one per dataset
    networks: tuple[NetworkPair, ...] = ()  # every pair of trained networks; only if all cells have one seed
    network_choices: tuple[str, ...] = ()  # the sentences about the choice by validation, if all cells have one seed
    failures: tuple[FailureCount, ...] = ()
    failure_differences: tuple[FailureDifference, ...] = ()
    failed_run_count: int = 0  # runs that failed or did not learn
    no_method_learned: tuple[str, ...] = ()  # sentences about datasets on which no run learned anything
    left_out: tuple[str, ...] = ()  # sentences about the cells that are not compared
    single_seed_sentence: str = ""  # names the cells that are not compared because they have one seed, unlike others
    advice: Advice | None = None
    cost: str = ""  # of the advice: the number of new runs, and how long they take
    run_count: int = 0  # runs of the compared methods, with failed ones
    factors: tuple[str, ...] = ()
    variance_rows: tuple[Mapping[Any, Any], ...] | None = None  # such a sweep measures variance, compares no methods
    paper: Paper | None = None  # the paper whose claims the sweep tests
    claims: tuple[JudgedClaim, ...] = ()

    @property
    def measure(self) -> Measure:
        """The metric that is compared."""
        return self.tables[0].measure if self.tables else ACCURACY

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
    if any(path in SOURCES for path in results.varies):
        variance_rows = tuple(variance_by_source(results.runs).to_dict("records"))
        return Verdicts(promise, frozenset(results.runs["run"]), variance_rows=variance_rows)
    factors = list(results.varies)
    learned, no_method_learned = _find_learned_runs(results, largest_class or {})
    runs = results.runs[learned]
    has_failed = [*(~learned).tolist(), *([True] * len(results.failed))]
    settings: list[Mapping[Any, Any]] = [*results.runs.to_dict("records"), *results.failed]
    counts = count_failures(settings, has_failed, factors) if any(has_failed) else []
    tables = accuracies_by_dataset(results, factors, runs)
    verdicts = Verdicts(
        promise,
        frozenset(runs["run"]),
        tuple(tables),
        failures=tuple(counts),
        failure_differences=tuple(failure_differences(counts, FAILURES_SHARE * promise.level)),
        failed_run_count=sum(has_failed),
        no_method_learned=tuple(no_method_learned),
        left_out=tuple(_datasets_text(tables)),
        run_count=len(has_failed),
        factors=tuple(factors),
    )
    if not tables:
        return verdicts
    if max(int(table.seed_counts.max()) for table in tables) == 1:
        return _judge_networks(verdicts, sweeps, results, correct_by_run)
    verdicts = compare_tables(verdicts)
    if promise.planned or _is_unfinished(results):
        return verdicts
    return _with_advice(verdicts, advise_more_seeds(verdicts, sweeps), sweeps, results)


def _find_learned_runs(results: Results, largest_class: Mapping[str, float]) -> tuple["pd.Series[bool]", list[str]]:
    """Mark the runs that learned something; on a dataset on which none did, all count and a sentence says so."""
    learned = pd.Series(True, index=results.runs.index)
    sentences = []
    for digest, runs in results.runs.groupby("dataset", sort=False):
        source = results.sources[str(digest)]
        largest_share = largest_class.get(str(digest)) or 1 / len(source["classes"])
        above_chance = runs["test/accuracy"] > chance_level(largest_share, int(source["test"]))
        if above_chance.any():
            learned[above_chance.index] = above_chance
        else:
            best = runs["test/accuracy"].max()
            sentences.append(
                f"No method learned {runs['dataset_name'].iloc[0]}: the best run has {100 * best:.2f} %, and naming "
                f"one class for every image reaches {100 * largest_share:.2f} %"
            )
    return learned, sentences


def _judge_networks(
    verdicts: Verdicts, sweeps: Sequence[Sweep], results: Results, correct_by_run: Mapping[str, Bools]
) -> Verdicts:
    best = [find_best(table, ALPHA, verdicts.promise.equal_within) for table in verdicts.tables]
    choices = [f"{item.dataset}: " * (len(best) > 1) + item.choice_sentence for item in best]
    pairs = compare_networks(verdicts.tables, correct_by_run)
    verdicts = replace(verdicts, seed_range=(1, 1), networks=tuple(pairs), network_choices=tuple(choices))
    if _is_unfinished(results) or all(len(item.cells) == 1 for item in best):
        return verdicts
    if [is_search(sweep) for sweep in sweeps] == [True] and len(best) == 1:
        return _with_advice(verdicts, advise_after_search(sweeps[0], results, best[0].cells), sweeps, results)
    return _with_advice(verdicts, advise_one_seed(sweeps), sweeps, results)


def _with_advice(verdicts: Verdicts, advice: Advice | None, sweeps: Sequence[Sweep], results: Results) -> Verdicts:
    """Add the advice and its cost, if a command can follow it."""
    if advice is None or advice.command is None:
        return replace(verdicts, advice=advice)
    new_runs = advice.new_runs
    if new_runs is None:
        new_runs = count_new_runs(sweeps, results, seeds_for_all(sweeps, advice.seeds))
    return replace(verdicts, advice=advice, cost=cost_text(new_runs, results))


def _is_unfinished(results: Results) -> bool:
    """Whether jobs are missing that the same command trains; more seeds would be the second step."""
    return any(job.state != "failed" for job in results.unfinished)


def compare_tables(verdicts: Verdicts) -> Verdicts:
    """Add the conclusions about methods.  At least one cell of the tables has two seeds."""
    single_cells = [name for table in verdicts.tables for name in np.array(table.cells)[table.seed_counts < 2].tolist()]
    tables = [table.select(table.seed_counts > 1) for table in verdicts.tables]
    tables = [table for table in tables if len(table.cells)]
    contrasts, significant_interactions, best = compare_methods(tables, verdicts.factors, verdicts.promise)
    seed_counts = np.concatenate([table.seed_counts for table in tables])
    return replace(
        verdicts,
        seed_range=(int(seed_counts.min()), int(seed_counts.max())),
        contrasts=contrasts,
        interactions=significant_interactions,
        best=best,
        single_seed_sentence=_single_seed_text(single_cells, is_only_reason=not best),
    )


def _single_seed_text(cells: Sequence[str], *, is_only_reason: bool) -> str:
    """Say that cells with one seed are not compared, unlike others; empty without such cells."""
    text = f"{joined(cells)} {'has' if len(cells) == 1 else 'have'} one seed"
    text = f"Nothing can be compared, because {text}" if is_only_reason else f"{text} and cannot be compared"
    return text if cells else ""


def advise_more_seeds(verdicts: Verdicts, sweeps: Sequence[Sweep]) -> Advice | None:
    """Return the advice about the first of these that exists: open contrasts, single seeds, an open best cell."""
    promise, most_seeds = verdicts.promise, verdicts.seed_range[1]
    next_share = promise.next_level / promise.level
    open_contrasts = [contrast for contrast in verdicts.open_contrasts if contrast.n > 1]
    if sweeps and any(contrast.welch for contrast in open_contrasts):  # pairs of runs need fewer seeds
        return advise_same_seeds(sweeps, most_seeds)
    if open_contrasts:
        return advise(sweeps, open_contrasts, next_share, promise.look)
    if verdicts.single_seed_sentence:
        return advise_same_seeds(sweeps, most_seeds)
    tables = {table.dataset: table for table in verdicts.tables}
    undecided = [best for best in verdicts.best if not best.decided]
    questions = [question for best in undecided for question in best_questions(best, tables[best.dataset])]
    if questions:
        return advise(sweeps, questions, next_share, promise.look, goal="To find the best")
    return advise_same_seeds(sweeps, most_seeds) if undecided else None


def _datasets_text(tables: Sequence[Accuracies]) -> list[str]:
    if len(tables) < 2:
        return []
    dataset_texts = [f"{table.dataset} ({counted(len(table.cells), 'cell')})" for table in tables]
    return [f"Cells tested on different images are not compared with each other: {joined(dataset_texts, 8)}"]
