"""Draws the conclusions of a comparison: pairs, letters, opening sentences, and the commands that add seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from src.results.results import Results
from src.runs.sweep import Sweep
from src.verdict.effects import Effect, factor_effects
from src.verdict.letters import LETTERS, letters
from src.verdict.more_seeds import more_seeds
from src.verdict.pairs import Pair
from src.verdict.pairwise import DatasetComparison, as_pairs, compare_cells
from src.verdict.points import interval_text, points_text
from src.verdict.statistics import Bools
from src.wording import counted, joined

FIRST_SEEDS = 5  # suggested total for cells with one seed, because one seed shows no spread between seeds
ROUNDING = 1e-12  # rounding can make two means of the same accuracies differ by this
MAX_LISTED = 10  # more incomparable pairs are only counted


@dataclass(frozen=True)
class Verdicts:
    """All conclusions of a comparison.  Numbers go from 0 to 1; sentences use percentage points."""

    pairs: tuple[Pair, ...]
    letters: Mapping[str, str]  # letters by cell; cells that share a letter do not differ significantly
    opening: tuple[str, ...]  # at most three sentences
    more: str | None  # shell commands that add the missing seeds, one per line; None if none are needed
    left_out: tuple[str, ...]  # sentences about the cells that could not be compared
    effects: tuple[Effect, ...]


def judge(sweeps: Sequence[Sweep], results: Results, correct_by_run: Mapping[str, Bools]) -> Verdicts:
    """Compare every two cells that were tested on the same images.

    Two cells with several common seeds are paired by seed (t interval).  With one common seed they are paired by image
    (exact McNemar), which compares two networks and not two methods.  Holm's correction (1979) over all pairs keeps the
    chance of any false difference at 5 %.  `correct_by_run` maps run names to arrays (N,) that mark correct predictions
    on the test images; cells with one common seed need them.
    """
    groups = compare_cells(results, correct_by_run)
    pairs, effects = as_pairs(groups), factor_effects(results)
    return Verdicts(
        pairs,
        _letters_by_cell(groups, pairs),
        _opening_sentences(groups, pairs, results),
        _seed_commands(sweeps, groups, pairs),
        tuple(_left_out_sentences(groups, correct_by_run, results, effects)),
        effects,
    )


def _letters_by_cell(groups: Sequence[DatasetComparison], pairs: Sequence[Pair]) -> dict[str, str]:
    """The letters by cell; empty if two cells on the same images were not compared, because letters need every pair.

    Cells that were tested on different images never share a letter.
    """
    if not pairs or any(group.incomparable for group in groups):
        return {}
    by_cell: dict[str, str] = {}
    unused = LETTERS
    different = {(pair.first, pair.second) for pair in pairs if pair.decided}
    for group in groups:
        rank = {name: position for position, name in enumerate(group.means)}
        decided = [(rank[first], rank[second]) for first, second in different if first in rank and second in rank]
        display = letters(len(rank), sorted(decided), unused)
        if display is None:
            return {}
        by_cell |= dict(zip(rank, display, strict=True))
        unused = unused[len(set().union(*display)) :]
    return by_cell


def _opening_sentences(groups: Sequence[DatasetComparison], pairs: Sequence[Pair], results: Results) -> tuple[str, ...]:
    several = [group for group in groups if len(group.means) > 1]
    if not several:
        names = joined([name for group in groups for name in group.means])
        return (f"There is nothing to compare {names} with.",) if names else ()
    prefixes = ["" if len(groups) == 1 else f"on {group.dataset}: " for group in several]
    best = "; ".join(prefix + _best_text(group.means, pairs) for group, prefix in zip(several, prefixes, strict=True))
    spans = "; ".join(_span_text(group, pairs, prefix) for group, prefix in zip(several, prefixes, strict=True))
    missing = len(results.unfinished)
    total = counted(len(results.runs) + missing, "run")
    unfinished = f"; {missing:,} of {total} have not finished and do not count" if missing else ""
    return (f"{best}.", f"{spans}.", f"{_basis_text(pairs)}{unfinished}.")


def _best_text(means: Mapping[str, float], pairs: Sequence[Pair]) -> str:
    """Name the cell with the highest mean accuracy, and compare it with the other cells."""
    best = next(iter(means))
    rivals = {({pair.first, pair.second} - {best}).pop(): pair for pair in pairs if best in (pair.first, pair.second)}
    identical = [name for name in means if name in rivals and rivals[name].equal]
    tied = [name for name in means if name not in (best, *identical) and abs(means[name] - means[best]) < ROUNDING]
    undecided = [name for name in means if name in rivals and not rivals[name].decided and name not in identical]
    # A mean covers all seeds, but a pair only common seeds.  So another cell can be significantly better than `best`.
    better = [name for name, pair in rivals.items() if pair.decided and (pair.difference > 0) != (pair.first == best)]
    worse_count = len(rivals) - len(undecided) - len(better) - len(identical)
    unknown_count = len(means) - 1 - len(rivals)
    accuracy = f"{100 * means[best]:.2f} %"
    if identical and len(identical) == len(means) - 1:
        return f"{joined(list(means))} give bit-identical results with the same seed; their test accuracy is {accuracy}"
    highest_cells = [best, *identical, *tied]
    subject, verb = "it" if len(highest_cells) == 1 else best, "is" if len(better) == 1 else "are"
    highest = f"{joined(highest_cells)} {'have' if identical or tied else 'has'} the highest test accuracy, {accuracy}"
    if worse_count == len(means) - 1 - len(identical):
        worse_text = "the other cell" if worse_count == 1 else f"all {worse_count:,} others"
    else:
        worse_text = counted(worse_count, "cell")
    clauses = [
        highest
        + (f" ({joined([best, *identical])} give bit-identical results with the same seed)" if identical else ""),
        f"{subject} does not differ significantly from {joined(undecided)}" if undecided else "",
        f"{subject} is significantly better than {worse_text}" if worse_count else "",
        f"{joined(better)} {verb} significantly better on the common seeds" if better else "",
        f"{subject} cannot be compared with {counted(unknown_count, 'other cell')}" if unknown_count else "",
    ]
    return "; ".join(filter(None, clauses))


def _span_text(group: DatasetComparison, pairs: Sequence[Pair], prefix: str) -> str:
    """Name the cells with the highest and lowest mean, and the confidence interval of their difference."""
    means = list(group.means.items())
    (best, top), (worst, bottom) = means[0], means[-1]
    subject = f"{prefix}the means" if prefix else "The means"
    if top - bottom < ROUNDING:
        return f"{subject} are all {100 * top:.2f} %"
    ends = f"from {100 * bottom:.2f} % ({worst}) to {100 * top:.2f} % ({best})"
    span = f"{subject} span {points_text(top - bottom)} points, {ends}"
    pair = next((pair for pair in pairs if {pair.first, pair.second} == {best, worst}), None)
    if pair is None:
        return span
    sign = 1 if pair.first == best else -1
    low, high = sorted((sign * pair.low, sign * pair.high))
    if any(np.count_nonzero(group.runs[group.cells.index(name)]) != pair.n for name in (best, worst)):
        common = counted(pair.n, "common seed")
        span += f"; on the {common} their difference is {points_text(sign * pair.difference)} points"
    return f"{span} (95 % confidence interval for this pair alone: {interval_text(low, high)})"


def _basis_text(pairs: Sequence[Pair]) -> str:
    if not pairs:
        return "No two cells could be compared"
    seed_counts = sorted({pair.n for pair in pairs})
    images = joined([f"{count:,}" for count in sorted({pair.images for pair in pairs})])
    correction = f"Holm's correction over {counted(len(pairs), 'pair')}" if len(pairs) > 1 else "a single pair"
    mixed_pairs = sum(pair.across for pair in pairs)
    verb = "compares" if mixed_pairs == 1 else "compare"
    mixed = f"; {counted(mixed_pairs, 'pair')} {verb} runs of different environments (†)" if mixed_pairs else ""
    if seed_counts == [1]:
        return (
            f"This compares trained networks on {images} test images (one seed, exact McNemar test, {correction}), "
            f"not the methods: another seed could reverse it{mixed}"
        )
    seeds = f"{seed_counts[0]} to {seed_counts[-1]}" if len(seed_counts) > 1 else f"{seed_counts[0]}"
    single = "; pairs with one common seed compare networks, not methods" if seed_counts[0] == 1 else ""
    return f"Based on {seeds} seeds and {images} test images, with {correction} at the 5 % level{single}{mixed}"


def _seed_commands(sweeps: Sequence[Sweep], groups: Sequence[DatasetComparison], pairs: Sequence[Pair]) -> str | None:
    """The commands that add enough seeds for all pairs of cells without a significant difference."""
    needed = [pair.seeds for pair in pairs if pair.n > 1 and pair.seeds is not None]
    if any(pair.n == 1 and not pair.equal for pair in pairs) or any(group.incomparable for group in groups):
        needed.append(FIRST_SEEDS)
    return more_seeds(sweeps, max(needed)) if needed else None


def _left_out_sentences(
    groups: list[DatasetComparison], correct_by_run: Mapping[str, Bools], results: Results, effects: Sequence[Effect]
) -> Iterator[str]:
    if len(groups) > 1:
        sets = [f"{group.dataset} ({len(group.means):,})" for group in groups]
        yield f"Cells tested on different images are not compared with each other: {joined(sets, 8)}."
    for group in groups:
        for first, second in group.incomparable[:MAX_LISTED]:
            obstacle = _obstacle_text(group.runs[[first, second]], correct_by_run)
            yield f"{group.cells[first]} and {group.cells[second]} are not compared: {obstacle}."
        unlisted = len(group.incomparable) - MAX_LISTED
        if unlisted > 0:
            yield f"{counted(unlisted, 'more pair')} of cells cannot be compared for the same reasons."
    if len(results.varies) > 1 and not effects and any(len(group.means) > 1 for group in groups):
        yield (
            "The effects of single factors cannot be estimated, because no two levels of a factor were trained with "
            "the same other settings and a common seed."
        )


def _obstacle_text(runs: npt.NDArray[np.object_], correct_by_run: Mapping[str, Bools]) -> str:
    """The reason why two cells cannot be compared.  `runs` holds the names of their runs (2, seeds)."""
    common = runs[:, runs.all(axis=0)]
    if not common.size:
        return "they have no seed in common"
    missing = joined([name for name in common.ravel() if name not in correct_by_run])
    return f"they have one seed in common, and the predictions of {missing} are missing or damaged"
