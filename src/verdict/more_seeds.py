"""The command that adds the seeds which a comparison lacks: the sweep's own, with other words for the seed."""

import re
import shlex
from collections.abc import Sequence

from src.config import SweepLimits
from src.runs.sweep import Sweep

# The seed within a line of `sweep.cells`.
IN_A_CELL = re.compile(r"""\s*\bseed=(?:\w+\([^()]*\)|[^\s"'\]]+)""")


def command_for(sweep: Sweep, seeds: Sequence[int]) -> str | None:
    """The sweep's command for these seeds; finished runs are used again, since a run is known by its settings and seed.

    None for a sweep whose settings another sweeper chose, such as Optuna's: it has no grid to be asked for again.
    """
    words = shlex.split(sweep.command)
    if any(word.startswith("hydra/sweeper=") and word != "hydra/sweeper=grid" for word in words):
        return None
    kept = [
        _without_seed(word) if word.startswith("sweep.cells=") else word
        for word in words
        if word.partition("=")[0] not in ("seed", "seeds")
    ]
    whole = list(seeds) == list(range(len(seeds)))
    kept.append(f"seeds={len(seeds)}" if whole else f"seed={','.join(map(str, seeds))}")
    jobs = len({job.cell for job in sweep.jobs}) * len(seeds)
    return shlex.join(_with_room(kept, jobs))


def seeds_of(sweep: Sweep) -> set[int]:
    """The seeds of its jobs, which end their labels: `gn l1=1e-05 s0`."""
    return {int(job.label.rpartition(" s")[2]) for job in sweep.jobs}


def more_seeds(sweeps: Sequence[Sweep], total: int) -> str | None:
    """The commands, a line each, after which all sweeps have the same seeds and at least so many.

    None where no command can add them, or all were asked for already: what is missing then has not finished.
    """
    there = [seeds_of(sweep) for sweep in sweeps]
    wanted = set().union(*there)
    if wanted == set(range(len(wanted))) or max(wanted, default=0) < total:
        wanted |= set(range(max(total, len(wanted))))
    unused = (seed for seed in range(total + len(wanted)) if seed not in wanted)
    while len(wanted) < total:
        wanted.add(next(unused))
    lacking = [sweep for sweep, seeds in zip(sweeps, there, strict=True) if seeds < wanted]
    lines = [command_for(sweep, sorted(wanted)) for sweep in lacking]
    return "\n".join(line for line in lines if line) or None


def _without_seed(word: str) -> str:
    return IN_A_CELL.sub("", word)


def _with_room(words: Sequence[str], jobs: int) -> list[str]:
    """The words, with a `sweep.max_jobs` that lets so many jobs through."""
    asked = [int(word.partition("=")[2]) for word in words if re.fullmatch(r"sweep\.max_jobs=\d+", word)]
    if jobs <= (asked[0] if asked else SweepLimits().max_jobs):
        return list(words)
    return [*(word for word in words if not word.startswith("sweep.max_jobs=")), f"sweep.max_jobs={jobs}"]
