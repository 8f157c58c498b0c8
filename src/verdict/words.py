"""Writes the lines that answer a comparison's question, for the terminal and the head of the report."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from src.results.variance import SOURCE_NAMES
from src.verdict.claim_words import claim_lines
from src.verdict.contrast import Contrast
from src.verdict.failures import failures_sentence
from src.verdict.networks import networks_sentence
from src.verdict.verdicts import Verdicts
from src.wording import counted, joined, shorten

MAX_DECIDED = 3  # differences that the first line names
MAX_QUESTIONS = 4  # equal or open questions that a line names
MAX_LEVELS = 6  # levels that a question names
TERMINAL_WIDTH = 80  # characters; the lines about six methods fit into a terminal of this width


def answer_lines(verdicts: Verdicts) -> list[str]:
    """At most five lines: what is better, what is equal or open, which method to choose, what is missing or failed.

    The outcomes of a paper's claims come before them.
    """
    if verdicts.variance_rows is not None:
        lines = _variance_lines(verdicts.variance_rows)
    elif verdicts.networks or verdicts.network_choices:
        lines = _network_lines(verdicts)
    elif verdicts.best:
        lines = _method_lines(verdicts)
    else:
        lines = [] if verdicts.single_seed_sentence else ["There is nothing to compare"]
    run_counts = verdicts.failed_run_count, verdicts.run_count
    failures = failures_sentence(*run_counts, verdicts.failures, verdicts.failure_differences)
    claims = claim_lines(verdicts.paper, verdicts.claims) if verdicts.paper else []
    lines = [*claims, *verdicts.no_method_learned, *lines, verdicts.single_seed_sentence, failures]
    return [f"{line}." for line in lines if line]


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
    basis = f"One seed compares {len(cells):,} trained networks, not methods; other seeds may disagree"
    return [basis, networks_sentence(list(verdicts.networks)), *verdicts.network_choices]


def _method_lines(verdicts: Verdicts) -> list[str]:
    low, high = verdicts.seed_range
    seeds = counted(high, "seed") if low == high else f"{low} to {high} seeds"
    if any(contrast.welch for contrast in verdicts.contrasts):
        seeds += ", not all shared (Welch's intervals)"
    lines = [*_contrast_lines(verdicts), *_best_lines(verdicts)]
    lines[0] = "; ".join([*_few_candidates(verdicts), lines[0]])
    lines[0] = f"{seeds}: {lines[0][0].lower()}{lines[0][1:]}"
    are_averages = {contrast.settings > 1 for contrast in verdicts.contrasts}
    if True not in are_averages:
        return lines
    scope = "averaged over other settings" + " unless one is named" * (False in are_averages)
    line_count = len(_contrast_lines(verdicts))
    return [*_with_scope(lines[:line_count], scope), *lines[line_count:]]


def _few_candidates(verdicts: Verdicts) -> list[str]:
    """Which cells may be the best, if most of many cells are ruled out; without contrasts, `_best_lines` says so."""
    found = [best for best in verdicts.best if verdicts.contrasts and best.rules_out_most]
    return [f"{best.dataset}: {best.sentence}" if len(verdicts.best) > 1 else best.sentence for best in found]


def _best_lines(verdicts: Verdicts) -> list[str]:
    """Which cell to choose, and which cells may be the best unless the contrasts or the table say so."""
    lines = []
    is_final = verdicts.advice is not None and verdicts.advice.hopeless
    for best in verdicts.best:
        prefix = f"{best.dataset}: " if len(verdicts.best) > 1 else ""
        choice = best.choice_text(for_now=not best.decided and not is_final)
        beats_all = len(best.candidates) == 1
        if choice:
            is_known = beats_all or bool(verdicts.contrasts)
        else:
            is_known = bool(verdicts.contrasts) and not (beats_all and len(best.cells) > 2)
        lines += [] if is_known else [f"{prefix}{best.sentence}"]
        lines += [f"{prefix}{choice}"] if choice else []
    return lines


def _contrast_lines(verdicts: Verdicts) -> list[str]:
    """A line about the differences, and one about equal and open questions; empty without contrasts."""
    if not verdicts.contrasts:
        return []
    decided = [contrast for contrast in verdicts.contrasts if contrast.outcome == "better"]
    equal = [contrast for contrast in verdicts.contrasts if contrast.outcome == "equal"]
    lines = [_decided_text(decided)] if decided or not equal else [_equal_text(equal)]
    rest = [_equal_text(equal)] if decided and equal else []
    rest += [f"Still open: {_open_text(verdicts)}"] if verdicts.open_contrasts else []
    return [*lines, ".  ".join(rest)] if rest else lines


def _with_scope(lines: Sequence[str], scope: str) -> list[str]:
    """Add what the differences are to the line that needs the least space for it, the last one of several."""
    scoped_lines = [f"{line[:-1]}; {scope})" if line.endswith(")") else f"{line} ({scope})" for line in lines]
    rows = [[-(-len(f"{text}.") // TERMINAL_WIDTH) for text in texts] for texts in (lines, scoped_lines)]
    place = min(range(len(lines)), key=lambda k: (rows[1][k] - rows[0][k], -k))
    return [*lines[:place], scoped_lines[place], *lines[place + 1 :]]


def _decided_text(contrasts: Sequence[Contrast]) -> str:
    """Who is better than whom by how much, with simultaneous intervals; the smallest p first."""
    if not contrasts:
        return "no significant differences"
    turned = [contrast.better_first for contrast in sorted(contrasts, key=lambda contrast: contrast.p or 0.0)]
    turned = [contrast for contrast in turned if not _is_implied(contrast, turned)]
    losers_by_winner: dict[tuple[str, str], list[str]] = {}
    for number, contrast in enumerate(turned[:MAX_DECIDED]):
        winner, loser = contrast.labels
        interval = contrast.measure.range_text(contrast.low or 0.0, contrast.high or 0.0)
        unit = "" if number else contrast.measure.unit
        losers_by_winner.setdefault((winner, contrast.place), []).append(f"{loser} by {interval}{unit}")
    texts = [f"{winner} beats {joined(losers)}{place}" for (winner, place), losers in losers_by_winner.items()]
    hidden_count = len(turned) - MAX_DECIDED
    rest = f"; {counted(hidden_count, 'more difference')} in the report" if hidden_count > 0 else ""
    return f"{'; '.join(texts)} (95 % CI){rest}"


def _is_implied(contrast: Contrast, decided: Sequence[Contrast]) -> bool:
    """Whether the winner beats another level that beats the loser; contrasts have the winner first."""
    scope = contrast.factor, contrast.place
    pairs = {(item.first, item.second) for item in decided if (item.factor, item.place) == scope}
    beaten = {loser for winner, loser in pairs if winner == contrast.first}
    return any((level, contrast.second) in pairs for level in beaten)


def _equal_text(contrasts: Sequence[Contrast]) -> str:
    texts = [f"{joined(labels, MAX_LEVELS)}{place}" for labels, place in _join_levels(contrasts)]
    first, *others = shorten(texts, MAX_QUESTIONS)
    others_text = f", and so are {'; '.join(others)}" if others else ""
    return f"{first} are equal within {contrasts[0].measure.difference_text(contrasts[0].equal_within)}{others_text}"


def _open_text(verdicts: Verdicts) -> str:
    """The open questions.  If a cell beats all others, only the size of its lead over another cell can be open."""
    winners = {best.candidates[0] for best in verdicts.best if len(best.candidates) == 1}
    losers_by_winner: dict[tuple[str, str], list[str]] = {}
    open_contrasts = list[Contrast]()
    for contrast in verdicts.open_contrasts:
        if not contrast.averaged_over and winners.intersection(contrast.cells):
            winner, loser = contrast.labels if contrast.cells[0] in winners else reversed(contrast.labels)
            losers_by_winner.setdefault((winner, contrast.place), []).append(loser)
        else:
            open_contrasts.append(contrast)
    groups = [(shorten(labels, MAX_LEVELS, "{} others"), place) for labels, place in _join_levels(open_contrasts)]
    texts = [" vs ".join(labels) + place for labels, place in groups]
    texts += [
        f"by how much {winner} beats {joined(losers, MAX_LEVELS)}{place}"
        for (winner, place), losers in losers_by_winner.items()
    ]
    return ", ".join(shorten(texts, MAX_QUESTIONS))


def _join_levels(contrasts: Sequence[Contrast]) -> list[tuple[list[str], str]]:
    """The labels of levels with the place of their contrasts; all pairs of some levels become one group."""
    pairs_by_scope: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for contrast in contrasts:
        pairs_by_scope.setdefault((contrast.factor, contrast.place), []).append(contrast.labels)
    groups = list[tuple[list[str], str]]()
    for (_, place), pairs in pairs_by_scope.items():
        labels = list(dict.fromkeys(label for pair in pairs for label in pair))
        is_complete = {frozenset(pair) for pair in pairs} == {frozenset(pair) for pair in combinations(labels, 2)}
        groups += [(labels, place)] if is_complete else [([*pair], place) for pair in pairs]
    return groups


class NextStep(NamedTuple):
    """What to do next, with the commands for it; the text is empty if there is nothing to do."""

    text: str = ""
    commands: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The text with the first command, and an indented line for each other command."""
        if not self.commands:
            return [self.text] if self.text else []
        return [f"{self.text}:  {self.commands[0]}", *(f"  {command}" for command in self.commands[1:])]


def next_step(verdicts: Verdicts) -> NextStep:
    """What to train next: the number of seeds, their cost and the commands, or that nothing needs more seeds."""
    advice = verdicts.advice
    if advice is None:
        if verdicts.best and not verdicts.open:
            return NextStep("Every question is decided, so you need no more seeds.")
        last = verdicts.promise.is_last and verdicts.open
        return NextStep("This was the last planned look, so the open questions stay open." if last else "")
    if advice.command is None:  # a search, or all these seeds have been requested
        return NextStep(f"{advice.reason}." if advice.hopeless else "")
    look_text = f"look {advice.look}" if advice.look else ""
    notes = "; ".join(filter(None, [advice.note, verdicts.cost, look_text]))
    return NextStep(f"{advice.reason} ({notes})", tuple(advice.command.splitlines()))  # a command per sweep
