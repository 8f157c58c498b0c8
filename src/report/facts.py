"""What a reader needs to judge a comparison and to make it again: configuration, environment, commands."""

from collections.abc import Sequence
from dataclasses import dataclass

from src.config import KEYS
from src.results.environments import UNSET
from src.results.records import Cell, Records
from src.runs.environment import VARIABLES
from src.runs.folder import FinishedJob
from src.runs.identity import applies
from src.runs.naming import format_value
from src.runs.sweep import Sweep

Rows = tuple[tuple[str, str], ...]
"""A name and what it holds, in words."""
VALUES = 40  # at most so many of one key are told


@dataclass(frozen=True)
class Facts:
    """All of it as texts."""

    common: Rows  # every key that the jobs read alike
    varies: Rows  # every other, with its values
    data: Rows
    environment: Rows
    commands: tuple[str, ...]  # that make the sweeps again, and compare them


def facts(sweeps: Sequence[Sweep], records: Records) -> Facts:
    """Gathered from the finished jobs."""
    jobs = [job for cell in records.cells for job in cell.jobs]
    common, varies = _configuration(jobs)
    name = "normlab-compare" if sweeps[0].command.startswith("normlab-") else "python -m src.compare"
    compare = " ".join([name, *(f"--sweep {sweep.id[:8]}" for sweep in sweeps)])
    commands = tuple(dict.fromkeys([*(sweep.command for sweep in sweeps), compare]))
    return Facts(common, varies, _data(records.cells), _environment(jobs), commands)


def _configuration(jobs: Sequence[FinishedJob]) -> tuple[Rows, Rows]:
    """The keys with one value in all jobs that read them, and those with several."""
    found: dict[str, dict[str, None]] = {}
    for job in jobs:
        leaves = job.leaves
        for path, value in leaves.items():
            if path in KEYS and applies(path, leaves) and (value is not None or path != "data.root"):
                found.setdefault(path, {})[format_value(value)] = None
    said = [(path, list(found[path])) for path in KEYS if path in found]
    common = tuple((path, values[0]) for path, values in said if len(values) == 1)
    return common, tuple((path, _listed(values)) for path, values in said if len(values) > 1)


def _listed(values: Sequence[str]) -> str:
    rest = f" and {len(values) - VALUES:,} more" if len(values) > VALUES else ""
    return ", ".join(values[:VALUES]) + rest


def _data(cells: Sequence[Cell]) -> Rows:
    """Each dataset: how many images of what kind, and the digest that names its content."""
    rows = {}
    for cell in cells:
        source = cell.source
        channels = {1: "grey", 3: "colour"}.get(source["channels"], f"{source['channels']} channels")
        rows[cell.dataset] = (
            f"{source['train']:,} images to train and validate on, {source['test']:,} to test on, {channels}, "
            f"{source['size']} x {source['size']} pixels, {len(source['classes'])} classes"
        )
    return tuple(rows.items())


def _environment(jobs: Sequence[FinishedJob]) -> Rows:
    """What the jobs' journals say of where they ran; where they differ, every value with its number of jobs.

    One that was stopped and went on elsewhere counts for both.
    """
    found: dict[str, dict[str, int]] = {}
    unset = dict.fromkeys(
        (name for name in VARIABLES if any(name in place for j in jobs for place in j.environments)), UNSET
    )
    for job in jobs:
        code = {"code of data, models, training and job.py": job.start["code"]}
        said = {(name, str(value)) for place in job.environments for name, value in {**unset, **place, **code}.items()}
        for name in dict.fromkeys([*job.environments[0], *code, *(name for name, _ in said)]):
            counts = found.setdefault(name, {})
            for value in sorted(value for other, value in said if other == name):
                counts[value] = counts.get(value, 0) + 1
    return tuple((name, _counted(counts)) for name, counts in found.items())


def _counted(counts: dict[str, int]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    return _listed([f"{value} ({count:,} run{'' if count == 1 else 's'})" for value, count in counts.items()])
