"""Writes the lines that answer a comparison's question, for the terminal and the head of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from src.config import SOURCES
from src.results.variance import ALL
from src.verdict.contrast import CELL, Contrast
from src.verdict.failures import failures_sentence
from src.verdict.networks import networks_sentence
from src.verdict.verdicts import Verdicts
from src.wording import counted, joined, shorten

SOURCE_NAMES = {**SOURCES, ALL: "all together"}
MAX_DECIDED = 3  # differences that the first line names
MAX_QUESTIONS = 4  # equal or open questions that a line names


def answer_lines(verdicts: Verdicts) -> list[str]:
    """At most four sentences: what is better, what is equal or open, which method may be the best, what failed."""
    if verdicts.variance_rows is not None:
        lines = _variance_lines(verdicts.variance_rows)
    elif verdicts.networks or verdicts.network_choices:
        lines = _network_lines(verdicts)
    elif verdicts.best:
        lines = _method_lines(verdicts)
    else:
        lines = ["There is nothing to compare", *verdicts.left_out]
    run_counts = verdicts.failed_run_count, verdicts.run_count
    failures = failures_sentence(*run_counts, verdicts.failures, verdicts.failure_differences)
    return [f"{line}." for line in [*verdicts.no_method_learned, *lines, failures] if line]


def _variance_lines(variance_rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say how much each source of randomness moves the test accuracy of the first method."""
    lines = ["This sweep measures where the variance comes from and compares no methods"]
    rows = [row for row in variance_rows if row["method"] == variance_rows[0]["method"]]
    if rows:
        texts = [f"{SOURCE_NAMES[row['source']]} {row['sd']:.2f}" for row in rows]
        lines.append(f"Standard deviation of the test accuracy of {rows[0]['method']}, in points: {'; '.join(texts)}")
    return lines


def _network_lines(verdicts: Verdicts) -> list[str]:
    cells = {cell for pair in verdicts.networks for cell in (pair.better, pair.worse)}
    if not cells:
        return [*verdicts.network_choices]
    basis = f"One seed: this compares {len(cells):,} trained networks, not {len(cells):,} methods"
    return [basis, networks_sentence(list(verdicts.networks)), *verdicts.network_choices]


def _method_lines(verdicts: Verdicts) -> list[str]:
    low, high = verdicts.seed_range
    seeds = counted(high, "seed") if low == high else f"{low} to {high} seeds"
    decided_contrasts = [contrast for contrast in verdicts.contrasts if contrast.outcome == "better"]
    decided_contrasts.sort(key=lambda contrast: contrast.p or 0.0)
    equal_contrasts = [contrast for contrast in verdicts.contrasts if contrast.outcome == "equal"]
    if any(contrast.welch for contrast in verdicts.contrasts):
        seeds += ", not all shared (Welch's intervals)"
    lines = [f"{seeds}: {_decided_text(verdicts, decided_contrasts)}"]
    margin = verdicts.measure.difference_text(verdicts.promise.equal_within)
    texts = [f"Equal within {margin}: {_questions_text(equal_contrasts)}"] if equal_contrasts else []
    texts += [f"Open: {_questions_text(verdicts.open_contrasts)}"] if verdicts.open_contrasts else []
    lines.append(".  ".join(texts))
    for best in verdicts.best:
        prefix = f"{best.dataset}: " if len(verdicts.best) > 1 else ""
        lines.append(f"{prefix}{'.  '.join(filter(None, [best.sentence, best.choice_sentence]))}")
    return lines


def _decided_text(verdicts: Verdicts, decided_contrasts: Sequence[Contrast]) -> str:
    if decided_contrasts:
        shown, hidden_count = decided_contrasts[:MAX_DECIDED], len(decided_contrasts) - MAX_DECIDED
        scopes = {contrast.scope_text for contrast in shown}
        common_scope = shown[0].scope_text if len(scopes) == 1 else ""  # the line names it once
        texts = [f"{contrast.result_text}{'' if common_scope else contrast.scope_text}" for contrast in shown]
        rest = f"; {counted(hidden_count, 'more difference')} in the report" if hidden_count > 0 else ""
        return f"{'; '.join(texts)}{common_scope}{rest}"
    if not verdicts.contrasts:
        return "no single setting is compared"
    names = joined(list(dict.fromkeys(contrast.factor for contrast in verdicts.contrasts)))
    if verdicts.open_contrasts:
        compared = "cells" if names == CELL else f"levels of {names}"
        return f"no difference between {compared} is significant"
    # Levels, not methods: two methods that differ in several factors may differ by more.
    levels_text = "two cells" if names == CELL else f"two levels of {names}"
    return f"no {levels_text} differ by more than {verdicts.measure.difference_text(verdicts.promise.equal_within)}"


def _questions_text(contrasts: Sequence[Contrast]) -> str:
    return ", ".join(shorten([contrast.question for contrast in contrasts], MAX_QUESTIONS))


def next_lines(verdicts: Verdicts) -> list[str]:
    """What to train next: the number of seeds, their cost and the command; empty if nothing needs more seeds."""
    advice = verdicts.advice
    if advice is None:
        last = verdicts.promise.is_last and verdicts.open
        return ["This was the last planned look, so the open questions stay open."] if last else []
    if advice.command is None:  # a search, or all these seeds have been requested
        return [f"{advice.reason}."] if advice.hopeless else []
    first_command, *others = advice.command.splitlines()  # a line per sweep
    return [f"{advice.reason} ({verdicts.cost}{advice.note}):  {first_command}", *(f"  {line}" for line in others)]
