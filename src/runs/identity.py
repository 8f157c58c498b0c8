"""Identifies jobs: two jobs with the same configuration and the same data are the same job, in every sweep."""

import ast
import functools
import hashlib
import json
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from src.config import KEYS, Config, affects_results, automatic_values
from src.schema import flatten

# The code in `src` that affects a job's numbers.
CODE_PATTERNS = (
    *("job.py", "datasets.py", "options.py", "data/*.py", "norms/**/*.py", "models/**/*.py"),
    *("augmentation/**/*.py", "training/*.py"),
)
# The values for keys that a job lacks, because a later version added them.
DEFAULTS = {path: item.default for path, item in KEYS.items() if affects_results(path)}


def job_settings(config: Config | Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a job's configuration that affect its results, by dotted key; unused keys have defaults.

    A stored configuration may lack keys of later versions; its keys that normlab no longer has are left out.
    """
    values = {path: value for path, value in with_weight_decay(flatten(config)).items() if path in DEFAULTS}
    settings = DEFAULTS | values
    # A missing key that belongs to other options is null.
    return {path: value if path in values or applies(path, settings) else None for path, value in settings.items()}


def with_weight_decay(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's values by dotted key in today's meaning; earlier versions used `l2` as AdamW's weight decay."""
    if "reg.weight_decay" in values or values.get("optimizer.name") != "adamw" or "reg.l2" not in values:
        return dict(values)
    return {("reg.weight_decay" if path == "reg.l2" else path): value for path, value in values.items()}


def identity(config: Config | Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """Return the keys and values that identify a job, with its dataset's digest; new keys do not change old jobs.

    A stored configuration may have keys that only older versions had.  Under AdamW, weight decay has the name `reg.l2`,
    as in earlier versions, so their jobs keep their keys.  The L2 penalty has another name there, because earlier
    versions had no L2 penalty under AdamW.
    """
    values, names = with_weight_decay(flatten(config)), {}
    if values.get("optimizer.name") == "adamw":
        names = {"reg.weight_decay": "reg.l2", "reg.l2": "reg.l2_penalty"}
    distinguishing_values = {
        names.get(path, path): value
        for path, value in values.items()
        if affects_results(path) and path != "data.root" and (path not in KEYS or value != KEYS[path].default)
    }
    return {**distinguishing_values, "data.digest": dataset}


def is_same_config(stored: Mapping[str, Any], config: Config) -> bool:
    """Whether a stored configuration describes the same job as `config` if their data are equal."""
    return identity(stored, "") == identity(config, "")


def job_key(identity: Mapping[str, Any]) -> str:
    """Return the 64 hexadecimal digits that identify a job."""
    return _digest(dict(identity))


def cell_key(identity: Mapping[str, Any]) -> str:
    """Return the 64 hexadecimal digits that identify a job's cell: all runs that differ only by their seed."""
    return _digest({path: value for path, value in identity.items() if path != "seed"})


def sweep_id(job_keys: Iterable[str]) -> str:
    """Return the 64 hexadecimal digits that identify a sweep by the keys of its jobs."""
    return _digest(sorted(job_keys))


def _digest(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@functools.cache
def code_digest() -> str:
    """Return a hash of the code that affects a job's numbers; comments, docstrings and layout do not count."""
    source_folder = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(path for pattern in CODE_PATTERNS for path in source_folder.glob(pattern)):
        digest.update(f"{path.relative_to(source_folder).as_posix()}\0{_executable_code(path.read_bytes())}\0".encode())
    return digest.hexdigest()


def _executable_code(code: bytes) -> str:
    """Return Python code without comments, docstrings and empty lines, the same under every version of Python."""
    text = code.decode()
    lines = text.splitlines()
    for token in tokenize.generate_tokens(iter(f"{line}\n" for line in lines).__next__):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            lines[line - 1] = lines[line - 1][:column]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or 0) - node.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def applies(path: str, job: Mapping[str, Any]) -> bool:
    """Whether a key affects a job: for example, `norm.groups` affects only jobs with a norm that reads it."""
    readers = KEYS[path].read_by
    return not readers or job.get(f"{path.split('.')[0]}.name") in readers


def find_varying_keys(jobs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys that differ between the jobs that read them, with the norm first and the seed last."""
    jobs = list(jobs)
    paths = dict.fromkeys(path for job in jobs for path in job)
    candidates = [path for path in paths if len({repr(job.get(path)) for job in jobs}) > 1]  # a fast first test
    varied = [path for path in candidates if len({repr(job[path]) for job in jobs if applies(path, job)}) > 1]
    # A network's own learning rate and number of epochs belong to the network: they are no factors beside it.
    return _sort_keys(
        path
        for path in varied
        if not (KEYS[path].automatic and all(job[path] == automatic_values(job).get(path) for job in jobs))
        and not _follows_option(path, jobs)
    )


def _follows_option(path: str, jobs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether options of a key's group differ in its value, but no option has two: then it is no factor beside them.

    For example, `norm.eps` is 1e-5 with `bn` and 1e-6 with `rms`, as in their papers.
    """
    option = f"{path.split('.')[0]}.name"
    values: dict[Any, set[str]] = {}
    for job in jobs:
        if applies(path, job):
            values.setdefault(job.get(option), set()).add(repr(job[path]))
    own_key = path != option and not KEYS[path].automatic
    return own_key and len(values) > 1 and all(len(texts) == 1 for texts in values.values())


def find_differing_keys(job: Mapping[str, Any], other_job: Mapping[str, Any]) -> list[str]:
    """Return the keys that differ between two jobs that both read them, with the norm first and the seed last."""
    candidates = (path for path, value in job.items() if repr(value) != repr(other_job[path]))
    return _sort_keys(path for path in candidates if applies(path, job) and applies(path, other_job))


def _sort_keys(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=lambda path: (path == "seed", path != "norm.name", list(KEYS).index(path)))
