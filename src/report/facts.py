"""Collects the problems, configuration, environment and commands of the compared runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from src.config import KEYS
from src.errors.atlas import Atlas
from src.results.environments import UNSET
from src.results.results import Results
from src.runs.environment import VARIABLES
from src.runs.folder import FinishedJob
from src.runs.identity import applies
from src.runs.naming import format_value
from src.runs.sweep import Sweep
from src.wording import counted, shorten

Rows = tuple[tuple[str, str], ...]
"""Pairs of a name and its value, as text."""
MAX_VALUES = 40  # the report shortens a longer list of a key's values


class Facts(NamedTuple):
    """The conditions of a comparison, as text for the report."""

    common: Rows  # keys with the same value in all runs that read the key
    varies: Rows  # keys with several values, with all these values
    data: Rows  # datasets with a description, and the label noise of the jobs that have some
    environment: Rows  # versions, hardware and variables, with their values
    commands: tuple[str, ...]  # commands that repeat the sweeps and the comparison


def collect_facts(sweeps: Sequence[Sweep], results: Results) -> Facts:
    """Collect the conditions under which the finished runs were trained."""
    jobs = list(results.jobs.values())
    common, varies = _common_and_varied_keys(jobs)
    name = "normlab-compare" if sweeps[0].command.startswith("normlab-") else "python -m src.compare"
    compare = " ".join([name, *(f"--sweep {sweep.id[:8]}" for sweep in sweeps)])
    commands = tuple(dict.fromkeys([*(sweep.command for sweep in sweeps), compare]))
    datasets = results.runs.drop_duplicates("dataset")[["dataset", "dataset_name"]]
    data = [(name, _dataset_text(results.sources[key])) for key, name in datasets.itertuples(index=False)]
    data += dict.fromkeys(_label_noise_row(job) for job in jobs if "changed_labels" in job.start)
    return Facts(common, varies, tuple(data), _environment_rows(jobs), commands)


def problem_lines(results: Results, atlases: Sequence[Atlas] = ()) -> list[str]:
    """A line for each job that cannot be compared or lacks a file, with the reason."""
    jobs = [*results.unfinished, *results.incomplete]
    lines = [f"{job.state}: {job.label}: {' '.join(job.reason.split())}" for job in jobs]
    return [*lines, *(f"no predictions: {reason}" for atlas in atlases for reason in atlas.unreadable_reasons)]


def _common_and_varied_keys(jobs: Sequence[FinishedJob]) -> tuple[Rows, Rows]:
    """Return the keys with one value in all jobs that read the key, and the keys with several values."""
    values: dict[str, dict[str, None]] = {path: {} for path in KEYS}
    for job in jobs:
        for path, value in job.settings.items():
            if path in KEYS and applies(path, job.settings) and (value is not None or path != "data.root"):
                values[path][format_value(value)] = None
    common = tuple((path, next(iter(texts))) for path, texts in values.items() if len(texts) == 1)
    varied = {path: texts for path, texts in values.items() if len(texts) > 1}
    return common, tuple((path, ", ".join(shorten(texts, MAX_VALUES))) for path, texts in varied.items())


def _dataset_text(source: Mapping[str, Any]) -> str:
    channels = {1: "grey", 3: "colour"}.get(source["channels"], f"{source['channels']} channels")
    split_text = f"{source['train']:,} images for training and validation"
    if source.get("validation"):
        split_text = f"{source['train']:,} images for training, {source['validation']:,} for validation"
    return (
        f"{split_text}, {source['test']:,} for testing, {channels}, "
        f"{source['size']} x {source['size']} pixels, {len(source['classes'])} classes"
    )


def _label_noise_row(job: FinishedJob) -> tuple[str, str]:
    settings, changed = job.settings, job.start["changed_labels"]
    noise = " ".join(f"{path}={format_value(settings[path])}" for path in ("data.label_noise", "data.noise_seed"))
    return f"{settings['data.name']}, {noise}", f"{counted(changed, 'training label')} changed, and no other labels"


def _environment_rows(jobs: Sequence[FinishedJob]) -> Rows:
    """The versions, hardware and variables of the runs.  If runs differ, each value is followed by its number of runs.

    A job that was resumed in another environment counts for both environments.
    """
    run_counts: dict[str, Counter[str]] = {}
    recorded_names = {name for job in jobs for environment in job.environments for name in environment}
    defaults = {name: UNSET for name in VARIABLES if name in recorded_names}
    for job in jobs:
        code = {"hash of the training code": job.start["code"]}
        pairs = {(name, str(value)) for env in job.environments for name, value in {**defaults, **env, **code}.items()}
        for name in dict.fromkeys([*job.environments[0], *code, *(name for name, _ in pairs)]):
            run_counts.setdefault(name, Counter()).update(sorted(value for key, value in pairs if key == name))
    return tuple((name, _values_with_counts(counts)) for name, counts in run_counts.items())


def _values_with_counts(run_counts: Counter[str]) -> str:
    if len(run_counts) == 1:
        return next(iter(run_counts))
    return ", ".join(shorten([f"{value} ({counted(count, 'run')})" for value, count in run_counts.items()], MAX_VALUES))
