"""The identity of a job: the same configuration on the same data is the same job, in every sweep and on every day."""

import ast
import functools
import hashlib
import json
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from src.config import KEYS, Config, part_of_a_job
from src.schema import flatten_dataclass, flatten_mapping

# The code below `src` that decides a job's numbers.
CODE = (
    *("job.py", "options.py", "data/*.py", "norms/**/*.py", "models/**/*.py"),
    *("augmentation/**/*.py", "training/*.py"),
)
# The value of each key in jobs that do not have it: a key of another option, or one that came later.
OFF = {path: item.default for path, item in KEYS.items() if part_of_a_job(path)}


def job_leaves(config: Config) -> dict[str, Any]:
    """Return every key that decides a job's results, by dotted path; a key of another option is null."""
    return OFF | {path: value for path, value in flatten_dataclass(config).items() if part_of_a_job(path)}


def stored_leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `job_leaves` of a stored configuration: keys added since are off, removed keys are dropped."""
    return OFF | {path: value for path, value in flatten_mapping(config).items() if path in OFF}


def identity(config: Config, dataset: str) -> dict[str, Any]:
    """Return the keys that are not off, with the dataset's digest; a key that is added later changes no old job."""
    return distinguishing(flatten_dataclass(config)) | {"data.digest": dataset}


def distinguishing(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that distinguish a job from others on the same data, including removed keys of old jobs."""
    return {
        path: value
        for path, value in leaves.items()
        if part_of_a_job(path) and path != "data.root" and (path not in KEYS or value != KEYS[path].default)
    }


def is_same(stored: Mapping[str, Any], config: Config) -> bool:
    """Whether two configurations give the same job if their data are equal."""
    return distinguishing(flatten_mapping(stored)) == distinguishing(flatten_dataclass(config))


def job_key(identity: Mapping[str, Any]) -> str:
    """Return the 64 hexadecimal digits that identify a job."""
    return _digest(dict(identity))


def cell_key(identity: Mapping[str, Any]) -> str:
    """Return the 64 hexadecimal digits that identify a job's cell: the runs that differ by their seed only."""
    return _digest({path: value for path, value in identity.items() if path != "seed"})


def sweep_id(job_keys: Iterable[str]) -> str:
    """Return the 64 hexadecimal digits that identify a set of jobs."""
    return _digest(sorted(job_keys))


def _digest(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@functools.cache
def code_digest() -> str:
    """Return a hash of the code that decides a job's numbers, at the first call; comments and layout do not count."""
    source = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(path for pattern in CODE for path in source.glob(pattern)):
        digest.update(f"{path.relative_to(source).as_posix()}\0{_statements(path.read_bytes())}\0".encode())
    return digest.hexdigest()


def _statements(code: bytes) -> str:
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
    """Whether one of a job's options reads a key; for example, only some norms read `norm.groups`."""
    readers = KEYS[path].read_by
    return not readers or job.get(f"{path.split('.')[0]}.name") in readers


def varying(jobs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys with different values in the jobs that read them, the norm first, the seed last."""
    jobs = list(jobs)
    paths = dict.fromkeys(path for job in jobs for path in job)
    unequal = [path for path in paths if len({repr(job.get(path)) for job in jobs}) > 1]  # saves calls of `applies`
    return _ordered(path for path in unequal if len({repr(job[path]) for job in jobs if applies(path, job)}) > 1)


def differing(job: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the keys that vary between two jobs, like `varying`, which is slower."""
    unequal = (path for path, value in job.items() if repr(value) != repr(other[path]))
    return _ordered(path for path in unequal if applies(path, job) and applies(path, other))


def _ordered(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=lambda path: (path == "seed", path != "norm.name", list(KEYS).index(path)))
