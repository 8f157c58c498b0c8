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
    present = [{seed_of(job.label) for job in sweep.jobs} for sweep in sweeps]
    wanted = set().union(*present)
    if max(wanted, default=0) < total:
        wanted |= set(range(total))
    unused = [seed for seed in range(total + len(wanted)) if seed not in wanted]
    wanted |= set(unused[: max(total - len(wanted), 0)])
    lacking = [sweep for sweep, seeds in zip(sweeps, present, strict=True) if seeds < wanted]
    lines = [command_for(sweep, sorted(wanted)) for sweep in lacking]
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
