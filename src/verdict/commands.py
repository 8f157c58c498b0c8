"""Writes the commands that add runs to sweeps, and says how many runs they add and how long these take."""

import re
import shlex
from collections.abc import Iterable, Sequence

import numpy as np

from src.config import SweepLimits
from src.results.results import Results
from src.runs.identity import applies
from src.runs.naming import format_value
from src.runs.seeds import seeds_argument, without_seeds
from src.runs.sweep import Sweep
from src.wording import counted


def seeds_for_all(sweeps: Sequence[Sweep], least_seeds: int) -> list[int]:
    """Return the seeds of all sweeps together, with the smallest other seeds added if they are fewer than needed."""
    seeds = {job.seed for sweep in sweeps for job in sweep.jobs}
    if max(seeds, default=0) < least_seeds:
        seeds |= set(range(least_seeds))
    unused = [seed for seed in range(least_seeds + len(seeds)) if seed not in seeds]
    return sorted(seeds.union(unused[: max(least_seeds - len(seeds), 0)]))


def command_for_more_seeds(sweeps: Sequence[Sweep], least_seeds: int) -> str | None:
    """Return the commands, one per line, that give all cells the same seeds, and at least `least_seeds` seeds each.

    None if no command can add seeds, or if all these seeds have been requested but have not finished.
    """
    seeds = seeds_for_all(sweeps, least_seeds)
    lines = [command_with_seeds(sweep, seeds) for sweep in _sweeps_without_some(sweeps, seeds)]
    return "\n".join(line for line in lines if line) or None


def _sweeps_without_some(sweeps: Iterable[Sweep], seeds: Sequence[int]) -> list[Sweep]:
    """Return the sweeps that have a cell without one of the seeds."""
    return [
        sweep
        for sweep in sweeps
        if {(job.cell, seed) for job in sweep.jobs for seed in seeds} - {(j.cell, j.seed) for j in sweep.jobs}
    ]


def command_with_seeds(sweep: Sweep, seeds: Sequence[int]) -> str | None:
    """Return the command of the sweep with the given seeds.  The command skips finished runs.

    None if the sweep used a sweeper such as Optuna, because its settings do not come from a grid.
    """
    if is_search(sweep):
        return None
    arguments = [*without_seeds(shlex.split(sweep.command)), seeds_argument(seeds)]
    job_count = len({job.cell for job in sweep.jobs}) * len(seeds)
    limits = [int(argument.split("=")[1]) for argument in arguments if re.fullmatch(r"sweep\.max_jobs=\d+", argument)]
    if job_count > (limits[0] if limits else SweepLimits().max_jobs):
        arguments = [argument for argument in arguments if not argument.startswith("sweep.max_jobs=")]
        arguments.append(f"sweep.max_jobs={job_count}")
    return shlex.join(arguments)


def is_search(sweep: Sweep) -> bool:
    """Whether a sweeper such as Optuna chose the settings of the sweep."""
    arguments = shlex.split(sweep.command)
    return any(argument.startswith("hydra/sweeper=") and argument != "hydra/sweeper=grid" for argument in arguments)


def command_for_cells(search: Sweep, results: Results, cells: Sequence[str], seeds: Sequence[int]) -> str:
    """Return the command that trains some cells of a search with the given seeds, as a grid."""
    swept_words = {*results.varies, *(path.removesuffix(".name") for path in results.varies)}
    kept_arguments = [
        argument
        for argument in without_seeds(shlex.split(search.command))
        if (name := argument.lstrip("+").partition("=")[0]) not in swept_words
        and not name.startswith(("hydra/sweeper", "hydra.sweeper"))
    ]
    rows = [{str(name): value for name, value in row.items()} for row in results.runs.to_dict("records")]
    settings_by_cell = {row["cell"]: row for row in rows}
    lines = [
        " ".join(
            f"{path.removesuffix('.name')}={format_value(settings_by_cell[cell][path])}"
            for path in results.varies
            if applies(path, settings_by_cell[cell])
        )
        for cell in cells
    ]
    cells_text = ",".join(f'"{line}"' for line in lines)
    return shlex.join([*kept_arguments, f"sweep.cells=[{cells_text}]", seeds_argument(seeds)])


def count_new_runs(sweeps: Sequence[Sweep], results: Results, seeds: Sequence[int]) -> int:
    """Return how many runs the commands of `command_for_more_seeds` train.

    Two sweeps can name the same cell differently, and can give one name to two cells, so keys identify the cells.
    """
    finished = {(key, seed) for key, seed in results.runs[["cell_key", "seed"]].itertuples(index=False)}
    cell_key_by_job = dict(results.runs[["job", "cell_key"]].itertuples(index=False))
    needed = set()
    for sweep in _sweeps_without_some(sweeps, seeds):
        if not is_search(sweep):
            keys = {job.cell: cell_key_by_job[job.key] for job in sweep.jobs if job.key in cell_key_by_job}
            needed |= {(keys.get(job.cell, (sweep.id, job.cell)), seed) for job in sweep.jobs for seed in seeds}
    return len(needed - finished)


def cost_text(new_runs: int, results: Results) -> str:
    """The number of new runs, and how long they take at the pace of the present runs."""
    seconds = new_runs * _seconds_per_run(results)
    time_text = f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
    time_text = f", ~{time_text}" if seconds >= 45 else ", less than 1 min" if seconds else ""
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
