"""What can be said of the cells of a comparison: pair by pair, in letters, in three sentences; what would say more."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from src.results.records import Cell, Records, by_dataset
from src.runs.sweep import Sweep
from src.verdict.effects import Effect, factor_effects
from src.verdict.letters import LETTERS, letters
from src.verdict.more_seeds import more_seeds
from src.verdict.pairs import Pair
from src.verdict.pairwise import Compared, as_pairs, compare_cells
from src.verdict.points import interval, points
from src.verdict.statistics import Bools, summarise
from src.wording import counted, joined

FIRST_SEEDS = 5  # to begin with, where one seed says nothing of how much seeds matter
ROUNDING = 1e-12  # means of the same accuracies may differ by so much
LISTED = 10  # sentences about single pairs that are left out


@dataclass(frozen=True)
class Verdicts:
    """All that is said; accuracies and differences from 0 to 1, words in percentage points."""

    pairs: tuple[Pair, ...]
    letters: Mapping[str, str]  # by cell; cells that share one cannot be told apart; empty for very many cells
    opening: tuple[str, ...]  # at most three sentences
    more: str | None  # the shell commands that add the missing seeds, a line each; None where nothing is to be added
    left_out: tuple[str, ...]  # what could not be compared, and why
    effects: tuple[Effect, ...]


def judge(sweeps: Sequence[Sweep], records: Records, right: Mapping[str, Bools]) -> Verdicts:
    """Compare every two cells that were tested on the same images.

    Cells with several seeds in common are paired by seed (t interval), those with one by image (exact McNemar), which
    compares two networks and not two methods.  All pairs together hold a false verdict in at most 5 % of comparisons
    (Holm 1979).

    Args:
        sweeps: whose commands can add seeds.
        records: the finished jobs of the sweeps.
        right: which test images each run gets right (N,), by its name; where it is missing, single seeds cannot be
            compared.
    """
    compared = [compare_cells(cells, right) for cells in by_dataset(records.cells)]
    pairs, effects = as_pairs(compared), factor_effects(records)
    return Verdicts(
        pairs,
        _letters(compared, pairs),
        _opening(compared, pairs, records),
        _more(sweeps, compared, pairs),
        tuple(_left_out(compared, right, records, effects)),
        effects,
    )


def _means(group: Compared) -> dict[str, float]:
    """Mean test accuracy over all seeds of each cell, the best first."""
    means = {cell.label: summarise(cell.values("test/accuracy")).mean for cell in group.cells}
    return dict(sorted(means.items(), key=lambda item: -item[1]))


def _letters(compared: Sequence[Compared], pairs: Sequence[Pair]) -> dict[str, str]:
    """By cell; none at all where two cells on the same images could not be compared, of whom they would say something.

    Of cells tested on different images none share a letter: nothing is said of them.
    """
    if not pairs or any(group.without for group in compared):
        return {}
    given: dict[str, str] = {}
    left = LETTERS
    told_apart = {(pair.first, pair.second) for pair in pairs if pair.decided}
    for group in compared:
        order = {name: position for position, name in enumerate(_means(group))}
        decided = [(order[one], order[other]) for one, other in told_apart if one in order and other in order]
        found = letters(len(order), sorted(decided), left)
        if found is None:
            return {}
        given |= dict(zip(order, found, strict=True))
        left = left[len(set().union(*found)) :]
    return given


def _opening(compared: Sequence[Compared], pairs: Sequence[Pair], records: Records) -> tuple[str, ...]:
    several = [group for group in compared if len(group.cells) > 1]
    if not several:
        names = joined([cell.label for group in compared for cell in group.cells])
        return (f"There is nothing to compare {names} with.",) if names else ()
    places = ["" if len(compared) == 1 else f"on {group.cells[0].dataset}: " for group in several]
    best = "; ".join(_best(group, pairs, place) for group, place in zip(several, places, strict=True))
    spans = "; ".join(_span(group, pairs, place) for group, place in zip(several, places, strict=True))
    missing, runs = len(records.unfinished), sum(len(cell.jobs) for cell in records.cells)
    lack = f"; {missing:,} of {counted(runs + missing, 'run')} not finished and not counted" if missing else ""
    return (f"{best}.", f"{spans}.", f"{_basis(pairs)}{lack}.")


def _best(group: Compared, pairs: Sequence[Pair], place: str) -> str:
    means = _means(group)
    best = next(iter(means))
    # In the order of the means, so that the nearest rivals are named.
    rivals: dict[str, Pair] = {}
    for pair in pairs:
        if pair.first == best or pair.second == best:
            rivals[pair.second if pair.first == best else pair.first] = pair
    equal = [name for name in means if name in rivals and rivals[name].equal]
    tied = [name for name in means if name not in (best, *equal) and abs(means[name] - means[best]) < ROUNDING]
    alike = [name for name in means if name in rivals and not rivals[name].decided and name not in equal]
    # Means are over all seeds, pairs over the common ones: they can point in opposite directions.
    ahead = [name for name, pair in rivals.items() if pair.decided and (pair.difference > 0) != (pair.first == best)]
    behind = len(rivals) - len(alike) - len(ahead) - len(equal)
    unknown = len(means) - 1 - len(rivals)
    if equal and len(equal) == len(means) - 1:
        twins = f"{place}{joined(list(means))} are equal: with the same seed they give the same results, bit by bit"
        return f"{twins}; their test accuracy is {100 * means[best]:.2f} %"
    several = bool(equal or tied)
    it = best if several else "it"
    subject = f"{best} " if several else ""
    has = f"{joined([best, *equal, *tied])} {'have' if several else 'has'}"
    said = f"{place}{has} the highest test accuracy, {100 * means[best]:.2f} %"
    said += f" ({joined([best, *equal])} are equal, bit by bit with the same seed)" if equal else ""
    if not rivals:
        return f"{said}, but {it} can be compared with no other cell"
    if behind == len(means) - 1 - len(equal):
        return f"{said}, and {subject}can be told from {'the other cell' if behind == 1 else f'all {behind:,} others'}"
    said += f", but {subject}cannot be told from {joined(alike)}" if alike else ""
    said += f"; {it} is better than {counted(behind, 'cell')}" if behind else ""
    said += f"; on the seeds in common {joined(ahead)} is better" if ahead else ""
    return said + (f"; with {counted(unknown, 'cell')} {it} cannot be compared" if unknown else "")


def _span(group: Compared, pairs: Sequence[Pair], place: str) -> str:
    """The range of the means; it grows with their number, so the ends' own difference is told with its interval."""
    means = list(_means(group).items())
    (best, top), (worst, bottom) = means[0], means[-1]
    ends = f"{100 * bottom:.2f} % ({worst}) to {100 * top:.2f} % ({best})"
    begins = f"{place}the means" if place else "The means"
    if top - bottom < ROUNDING:
        return f"{begins} are all {100 * top:.2f} %"
    said = f"{begins} span {points(top - bottom)} points, from {ends}"
    for pair in pairs:
        if {pair.first, pair.second} == {best, worst}:
            sign = 1 if pair.first == best else -1
            low, high = sorted((sign * pair.low, sign * pair.high))
            # The means are over all seeds of a cell, the pair over those that both have.
            same = all(pair.n == len(cell.jobs) for cell in group.cells if cell.label in (best, worst))
            common = (
                "" if same else f" of {points(sign * pair.difference)} points on the {counted(pair.n, 'common seed')}"
            )
            return f"{said}, a difference{common} with the 95 % interval {interval(low, high)} for this pair alone"
    return said


def _basis(pairs: Sequence[Pair]) -> str:
    if not pairs:
        return "No two cells could be compared"
    n = sorted({pair.n for pair in pairs})
    images = joined([f"{count:,}" for count in sorted({pair.images for pair in pairs})])
    family = f"Holm's correction over {counted(len(pairs), 'pair')}" if len(pairs) > 1 else "one pair"
    crossing = sum(pair.across for pair in pairs)
    places = f"; {counted(crossing, 'pair')} compare{'s' if crossing == 1 else ''} runs of different environments (†)"
    across = places if crossing else ""
    if n == [1]:
        return (
            f"This is about these trained networks on {images} test images (one seed, exact McNemar, {family}), "
            f"not about the methods: another seed could turn it round{across}"
        )
    seeds = f"{n[0]} to {n[-1]}" if len(n) > 1 else f"{n[0]}"
    single = "; pairs with one common seed are about single networks" if n[0] == 1 else ""
    return f"This rests on {seeds} seeds, {images} test images and {family}, at 5 %{single}{across}"


def _more(sweeps: Sequence[Sweep], compared: Sequence[Compared], pairs: Sequence[Pair]) -> str | None:
    """For all pairs of methods that are undecided; with one seed in common or none, they all are."""
    needed = [pair.seeds for pair in pairs if pair.n > 1 and pair.seeds is not None]
    if any(pair.n == 1 and not pair.equal for pair in pairs) or any(group.without for group in compared):
        needed.append(FIRST_SEEDS)
    return more_seeds(sweeps, max(needed)) if needed else None


def _left_out(
    compared: Sequence[Compared], right: Mapping[str, Bools], records: Records, effects: Sequence[Effect]
) -> Iterator[str]:
    if len(compared) > 1:
        sets = [f"{group.cells[0].dataset} ({len(group.cells):,})" for group in compared]
        yield f"Cells tested on different images are not compared with each other: {joined(sets, 8)}."
    for group in compared:
        for first, second, n in group.without[:LISTED]:
            one, other = group.cells[first], group.cells[second]
            why = "they have no seed in common"
            if n == 1:
                common = ~np.isnan(group.accuracies[first] + group.accuracies[second])
                missing = [name for cell in (one, other) for name in _unread(group, cell, common, right)]
                why = f"they have one seed in common, and the predictions of {joined(missing)} are missing or harmed"
            yield f"{one.label} and {other.label} are not compared: {why}."
        if len(group.without) > LISTED:
            yield f"{counted(len(group.without) - LISTED, 'more pair')} of cells cannot be compared for such reasons."
    if len(records.varies) > 1 and not effects and any(len(group.cells) > 1 for group in compared):
        yield "What each factor does cannot be told: no settings were trained at two of its levels with a common seed."


def _unread(group: Compared, cell: Cell, common: Bools, right: Mapping[str, Bools]) -> list[str]:
    chosen = {seed for seed, there in zip(group.seeds, common, strict=True) if there}
    names = [cell.name(job) for job in cell.jobs if int(job.leaves["seed"]) in chosen]
    return [name for name in names if name not in right]
