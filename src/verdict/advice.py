"""Says what to train next: how many seeds would answer the open questions, and which command trains them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from src.results.results import Results
from src.results.statistics import decidable, sd_range, seeds_to_decide
from src.runs.sweep import Sweep
from src.verdict.accuracies import Accuracies
from src.verdict.best import Best
from src.verdict.commands import command_for_cells, command_for_more_seeds
from src.verdict.contrast import CELL, Contrast
from src.verdict.contrasts import factor_contrasts
from src.wording import counted, joined

FIRST_SEEDS = 5  # suggested total for one seed, which shows no spread between seeds
MAX_SEEDS = 20  # a suggestion reaches this total, or twice the present number of seeds if that is more
BEST_TRIALS = 3  # trials of a search that are compared with several seeds


@dataclass(frozen=True)
class Advice:
    """What to train next to answer the open questions."""

    reason: str
    seeds: int  # suggested total per cell; for the trials of a search, the number of new seeds
    note: str = ""  # how certain the number of seeds is
    command: str | None = None  # one command per line; None if no command can add these seeds
    hopeless: bool = False  # more seeds would decide nothing
    detail: str = ""  # a sentence for the report: what these seeds probably decide
    look: int = 0  # the number of the look that these seeds allow; 0 with one seed, which allows the first look
    new_runs: int | None = None  # None: the runs that give all cells of the sweeps the same seeds


def advise_one_seed(sweeps: Sequence[Sweep]) -> Advice:
    """Return the advice for a comparison with one seed."""
    reason = f"To compare the methods, run {FIRST_SEEDS} seeds"
    return Advice(reason, FIRST_SEEDS, command=command_for_more_seeds(sweeps, FIRST_SEEDS))


def advise_after_search(search: Sweep, results: Results, cells_by_validation: Sequence[str]) -> Advice:
    """Return the advice for a search with one seed: compare its best trials with new seeds.

    The seed of the search is left out, because the trials are the best ones partly due to luck with this seed.
    """
    cells = cells_by_validation[:BEST_TRIALS]
    used_seeds = set(map(int, results.runs["seed"]))
    seeds = [seed for seed in range(FIRST_SEEDS + len(used_seeds)) if seed not in used_seeds][:FIRST_SEEDS]
    reason = f"To compare the {len(cells)} best trials, run {FIRST_SEEDS} new seeds"
    command = command_for_cells(search, results, cells, seeds)
    return Advice(reason, FIRST_SEEDS, command=command, new_runs=len(cells) * len(seeds))


def advise_same_seeds(sweeps: Sequence[Sweep], seed_count: int) -> Advice:
    """Return the advice if cells cannot be compared because they lack seeds that other cells have."""
    reason = "To compare all cells, give them the same seeds"
    return Advice(reason, seed_count, command=command_for_more_seeds(sweeps, seed_count))


def advise(
    sweeps: Sequence[Sweep], contrasts: Sequence[Contrast], next_share: float, look: int, goal: str = "To decide more"
) -> Advice:
    """Return the advice for contrasts that are open after look number `look`, each with at least two seeds.

    The next look at the same methods may spend `next_share` times the error probability of this look.
    """
    max_seeds = max([MAX_SEEDS, *(2 * contrast.n for contrast in contrasts)])
    enough = [_enough_seeds(contrast, contrast.sd, next_share, max_seeds) for contrast in contrasts]
    decided = [seeds for seeds in enough if seeds is not None]
    if not decided:
        limit_text = _limit_text(contrasts, max_seeds, next_share)
        reason = f"More seeds hardly help: even {max_seeds} detect only differences above about {limit_text}"
        return Advice(reason, max_seeds, hopeless=True)
    seed_count = max(decided)
    contrast = contrasts[enough.index(seed_count)]
    low, high = (_enough_seeds(contrast, sd, next_share, max_seeds) for sd in sd_range(contrast.sd, contrast.n))
    note = f"likely {low} to {high}" if high is not None else f"likely {low}+"
    detail = f"With {seed_count} seeds, this comparison would probably decide {len(decided)} of "
    return Advice(
        f"{goal}, train {seed_count} seeds",
        seed_count,
        note,
        command_for_more_seeds(sweeps, seed_count),
        detail=f"{detail}{counted(len(contrasts), 'open question')}.",
        look=look + 1,
    )


def _limit_text(contrasts: Sequence[Contrast], seeds: int, next_share: float) -> str:
    """The smallest difference that the seeds detect, such as `0.19 points`, for each factor if there are several.

    A factor's number is that of its least certain contrast.
    """
    limits: dict[str, float] = {}
    for contrast in contrasts:
        limit = decidable(contrast.sd, seeds, contrast.alpha * next_share)
        limits[contrast.factor] = max(limit, limits.get(contrast.factor, 0.0))
    sizes = {factor: contrasts[0].measure.difference_text(limit) for factor, limit in limits.items()}
    return joined([f"{size} ({factor})" for factor, size in sizes.items()] if len(sizes) > 1 else [*sizes.values()])


def _enough_seeds(contrast: Contrast, sd: float, next_share: float, max_seeds: int) -> int | None:
    """The seeds that decide a contrast whose true difference is as observed, or at most `equal_within`."""
    difference = max(contrast.equal_within, abs(contrast.difference))
    return seeds_to_decide(sd, contrast.n, contrast.alpha * next_share, difference, max_seeds)


def best_questions(best: Best, table: Accuracies) -> list[Contrast]:
    """Return the differences that leave open which cell is the best, each with two seeds or more.

    These are the differences between the candidate with the highest test accuracy and the other candidates.  The test
    of a cell is one-sided, so its contrast has twice the level of the test.
    """
    rows = [table.cells.index(cell) for cell in best.candidates]
    top = max(rows, key=lambda row: float(table.means[row]))
    cells = replace(table, levels=tuple((cell,) for cell in table.cells))
    pairs = [cells.select(np.isin(range(len(cells.cells)), [top, row])) for row in rows]
    questions = [contrast for pair in pairs for contrast in factor_contrasts(pair, [CELL], best.equal_within)]
    alpha = 2 * best.alpha / (len(best.cells) - 1)
    return [replace(item.better_first, alpha=alpha) for item in questions if item.n > 1 and not item.welch]
