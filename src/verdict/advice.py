"""Says how many seeds would answer the open questions, what they cost, and which command trains them."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.config import SweepLimits
from src.results.results import Results
from src.runs.seeds import seed_of, seeds_argument, without_seeds
from src.runs.sweep import Sweep
from src.verdict.contrast import Contrast
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


def advise_one_seed(sweeps: Sequence[Sweep]) -> Advice:
    """Return the advice for a comparison with one seed."""
    reason = f"To compare the methods, run {FIRST_SEEDS} seeds"
    return Advice(reason, FIRST_SEEDS, command=command_for_more_seeds(sweeps, FIRST_SEEDS))


def advise(sweeps: Sequence[Sweep], contrasts: Sequence[Contrast], next_share: float, look: int) -> Advice:
    """Return the advice for contrasts that are open after look number `look`, each with at least two seeds.

    The next look at the same methods may spend `next_share` times the error probability of this look.
    """
    max_seeds = max([MAX_SEEDS, *(2 * contrast.n for contrast in contrasts)])
    contrast_by_seeds: dict[int, Contrast] = {}
    for contrast in contrasts:
        seeds = _enough_seeds(contrast, contrast.sd, next_share, max_seeds)
        if seeds is not None:
            contrast_by_seeds.setdefault(seeds, contrast)
    if not contrast_by_seeds:
        smallest = min(decidable(contrast.sd, max_seeds, contrast.alpha * next_share) for contrast in contrasts)
        size_text = contrasts[0].measure.difference_text(smallest)
        limit_text = f"even {max_seeds} would detect only differences of about {size_text} or more"
        return Advice(f"More seeds are not worth training: {limit_text}", max_seeds, hopeless=True)
    seed_count = max(contrast_by_seeds)
    contrast = contrast_by_seeds[seed_count]
    low, high = (_enough_seeds(contrast, sd, next_share, max_seeds) for sd in sd_range(contrast.sd, contrast.n))
    range_text = f"between {low} and {high}" if high is not None else f"{low} or more"
    note = f"; probably {range_text} seeds; this will be look {look + 1}"
    decided = sum(_enough_seeds(item, item.sd, next_share, max_seeds) is not None for item in contrasts)
    questions = "the open questions" if decided == len(contrasts) else f"{decided} of {len(contrasts)} open questions"
    reason = f"To decide {questions}, train about {seed_count} seeds in total"
    return Advice(reason, seed_count, note, command_for_more_seeds(sweeps, seed_count))


def _enough_seeds(contrast: Contrast, sd: float, next_share: float, max_seeds: int) -> int | None:
    """The seeds that decide a contrast whose true difference is as observed, or at most `equal_within`."""
    difference = max(contrast.equal_within, abs(contrast.difference))
    return seeds_to_decide(sd, contrast.n, contrast.alpha * next_share, difference, max_seeds)


def cost_text(advice: Advice, sweeps: Sequence[Sweep], results: Results) -> str:
    """The number of runs that the advice adds, and how long they take at the pace of the present runs."""
    cell_count = len({job.cell for sweep in sweeps for job in sweep.jobs})
    new_runs = max(advice.seeds * cell_count - len(results.runs), 0)
    seconds = new_runs * _seconds_per_run(results)
    unit, amount = ("minute", seconds / 60) if seconds < 5400 else ("hour", seconds / 3600)
    time_text = f", about {counted(max(round(amount), 1), unit)}" if seconds else ""
    time_text = ", less than a minute" if 0 < seconds < 45 else time_text
    return f"{counted(new_runs, 'more run')}{time_text}"


def _seconds_per_run(results: Results) -> float:
    """The time between the ends of two runs, which is shorter than a run if several run at once; 0 if unknown."""
    if not results.jobs:
        return 0.0
    starts = [int(job.start["time"]) for job in results.jobs.values()]
    ends = [int(job.result["finished"]) for job in results.jobs.values()]
    between_ends = (max(ends) - min(starts)) / 1000 / len(ends)
    single_run = float(np.mean(results.runs["seconds/total"]))
    return min(single_run, between_ends) if between_ends > 0 else single_run


def command_for_more_seeds(sweeps: Sequence[Sweep], least_seeds: int) -> str | None:
    """Return the commands, one per line, that give all sweeps the same seeds, and at least `least_seeds` seeds each.

    None if no command can add seeds, or if all these seeds have been requested but have not finished.
    """
    seeds_by_sweep = [{seed_of(job.label) for job in sweep.jobs} for sweep in sweeps]
    target_seeds = set().union(*seeds_by_sweep)
    if max(target_seeds, default=0) < least_seeds:
        target_seeds |= set(range(least_seeds))
    unused = [seed for seed in range(least_seeds + len(target_seeds)) if seed not in target_seeds]
    target_seeds |= set(unused[: max(least_seeds - len(target_seeds), 0)])
    incomplete_sweeps = [sweep for sweep, seeds in zip(sweeps, seeds_by_sweep, strict=True) if seeds < target_seeds]
    lines = [command_with_seeds(sweep, sorted(target_seeds)) for sweep in incomplete_sweeps]
    return "\n".join(line for line in lines if line) or None


def command_with_seeds(sweep: Sweep, seeds: Sequence[int]) -> str | None:
    """Return the command of the sweep with the given seeds.  The command skips finished runs.

    None if the sweep used a sweeper such as Optuna, because its settings do not come from a grid.
    """
    arguments = shlex.split(sweep.command)
    if any(argument.startswith("hydra/sweeper=") and argument != "hydra/sweeper=grid" for argument in arguments):
        return None
    arguments = [*without_seeds(arguments), seeds_argument(seeds)]
    job_count = len({job.cell for job in sweep.jobs}) * len(seeds)
    limits = [int(argument.split("=")[1]) for argument in arguments if re.fullmatch(r"sweep\.max_jobs=\d+", argument)]
    if job_count > (limits[0] if limits else SweepLimits().max_jobs):
        arguments = [argument for argument in arguments if not argument.startswith("sweep.max_jobs=")]
        arguments.append(f"sweep.max_jobs={job_count}")
    return shlex.join(arguments)
