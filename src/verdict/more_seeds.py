"""Writes the commands that add seeds to sweeps."""

import re
import shlex
from collections.abc import Sequence

from src.config import SweepLimits
from src.runs.seeds import seed_of, seeds_word, without_seeds
from src.runs.sweep import Sweep


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
