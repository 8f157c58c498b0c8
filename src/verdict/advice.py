"""Says how many seeds would answer the open questions, what they cost, and which command trains them."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.config import SweepLimits
from src.results.results import Results
from src.runs.seeds import seed_of, seeds_word, without_seeds
from src.runs.sweep import Sweep
from src.verdict.contrasts import Contrast
from src.verdict.points import points_text
from src.verdict.statistics import decidable, sd_range, seeds_to_decide
from src.wording import counted

FIRST_SEEDS = 5  # suggested total for one seed, which shows no spread between seeds
MAX_SEEDS = 20  # a suggestion reaches this total, or twice the present number of seeds if that is more


@dataclass(frozen=True)
class Advice:
    """What to train next to answer the open questions."""

    reason: str
    seeds: int  # suggested total per cell
    note: str = ""  # how certain the number of seeds is
    command: str | None = None  # one command per line; None if no command can add these seeds
    hopeless: bool = False  # more seeds would decide nothing


def first_seeds(sweeps: Sequence[Sweep]) -> Advice:
    """Return the advice for a comparison with one seed."""
    reason = f"To compare the methods, run {FIRST_SEEDS} seeds"
    return Advice(reason, FIRST_SEEDS, command=more_seeds(sweeps, FIRST_SEEDS))


def advise(sweeps: Sequence[Sweep], contrasts: Sequence[Contrast], next_share: float, look: int) -> Advice:
    """Return the advice for contrasts that are open after look number `look`, each with at least two seeds.

    The next look at the same methods may spend `next_share` times the error probability of this look.
    """
    most = max([MAX_SEEDS, *(2 * contrast.n for contrast in contrasts)])
    by_seeds: dict[int, Contrast] = {}
    for contrast in contrasts:
        seeds = _enough_seeds(contrast, contrast.sd, next_share, most)
        if seeds is not None:
            by_seeds.setdefault(seeds, contrast)
    if not by_seeds:
        size = min(decidable(contrast.sd, most, contrast.alpha * next_share) for contrast in contrasts)
        shown = f"even {most} would detect only differences of about {points_text(size)} points or more"
        return Advice(f"More seeds are not worth training: {shown}", most, hopeless=True)
    total = max(by_seeds)
    contrast = by_seeds[total]
    low, high = (_enough_seeds(contrast, sd, next_share, most) for sd in sd_range(contrast.sd, contrast.n))
    limits = f"{low} to {high}" if high is not None else f"{low} or more"
    note = f"; between {low} and {high}; look {look + 1}" if high is not None else f"; {limits}; look {look + 1}"
    decided = sum(_enough_seeds(item, item.sd, next_share, most) is not None for item in contrasts)
    questions = "the open questions" if decided == len(contrasts) else f"{decided} of {len(contrasts)} open questions"
    reason = f"To decide {questions}, train about {total} seeds"
    return Advice(reason, total, note, more_seeds(sweeps, total))


def _enough_seeds(contrast: Contrast, sd: float, next_share: float, most: int) -> int | None:
    """The seeds that decide a contrast whose true difference is as observed, or at most `equal_within`."""
    difference = max(contrast.equal_within, abs(contrast.difference))
    return seeds_to_decide(sd, contrast.n, contrast.alpha * next_share, difference, most)


def cost_text(advice: Advice, sweeps: Sequence[Sweep], results: Results) -> str:
    """The number of runs that the advice adds, and how long they take at the pace of the present runs."""
    cells = len({job.cell for sweep in sweeps for job in sweep.jobs})
    runs = max(advice.seeds * cells - len(results.runs), 0)
    seconds = runs * _seconds_per_run(results)
    unit, amount = ("minute", seconds / 60) if seconds < 5400 else ("hour", seconds / 3600)
    time = f", about {counted(max(round(amount), 1), unit)}" if seconds else ""
    time = ", less than a minute" if 0 < seconds < 45 else time
    return f"{counted(runs, 'more run')}{time}"


def _seconds_per_run(results: Results) -> float:
    """The time between the ends of two runs, which is shorter than a run if several run at once; 0 if unknown."""
    if not results.jobs:
        return 0.0
    starts = [int(job.start["time"]) for job in results.jobs.values()]
    ends = [int(job.result["finished"]) for job in results.jobs.values()]
    together = (max(ends) - min(starts)) / 1000 / len(ends)
    alone = float(np.mean(results.runs["seconds/total"]))
    return min(alone, together) if together > 0 else alone


def more_seeds(sweeps: Sequence[Sweep], total: int) -> str | None:
    """Return the commands, one per line, that give all sweeps the same seeds, and at least `total` seeds each.

    None if no command can add seeds, or if all these seeds have been requested but have not finished.
    """
    seeds_by_sweep = [{seed_of(job.label) for job in sweep.jobs} for sweep in sweeps]
    target_seeds = set().union(*seeds_by_sweep)
    if max(target_seeds, default=0) < total:
        target_seeds |= set(range(total))
    unused = [seed for seed in range(total + len(target_seeds)) if seed not in target_seeds]
    target_seeds |= set(unused[: max(total - len(target_seeds), 0)])
    incomplete_sweeps = [sweep for sweep, seeds in zip(sweeps, seeds_by_sweep, strict=True) if seeds < target_seeds]
    lines = [command_for(sweep, sorted(target_seeds)) for sweep in incomplete_sweeps]
    return "\n".join(line for line in lines if line) or None


def command_for(sweep: Sweep, seeds: Sequence[int]) -> str | None:
    """Return the command of the sweep with the given seeds.  The command skips finished runs.

    None if the sweep used a sweeper such as Optuna, because its settings do not come from a grid.
    """
    words = shlex.split(sweep.command)
    if any(word.startswith("hydra/sweeper=") and word != "hydra/sweeper=grid" for word in words):
        return None
    words = [*without_seeds(words), seeds_word(seeds)]
    jobs = len({job.cell for job in sweep.jobs}) * len(seeds)
    limits = [int(word.partition("=")[2]) for word in words if re.fullmatch(r"sweep\.max_jobs=\d+", word)]
    if jobs > (limits[0] if limits else SweepLimits().max_jobs):
        words = [*(word for word in words if not word.startswith("sweep.max_jobs=")), f"sweep.max_jobs={jobs}"]
    return shlex.join(words)
