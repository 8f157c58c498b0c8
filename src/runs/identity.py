"""What a job is: the same configuration on the same data is the same job, alone or in any sweep, today or next week."""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from src.config import KEYS, Config, part_of_a_job
from src.schema import flat, leaves

CODE = ("job.py", "data/*.py", "models/*.py", "training/*.py")  # what decides a job's numbers, below src


def job_leaves(config: Config) -> dict[str, Any]:
    """All leaves that decide what a job computes, by dotted key."""
    return {path: value for path, value in flat(config).items() if part_of_a_job(path)}


def stored_leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a configuration that a job has stored, as the present schema has them.

    A key that came later is off in an older job; one that is gone says nothing any more.
    """
    off = {path: item.default for path, item in KEYS.items() if part_of_a_job(path)}
    return off | {path: value for path, value in leaves(config).items() if path in off}


def identity(config: Config, dataset: str) -> dict[str, Any]:
    """The leaves that differ from the schema's "off", with the dataset's digest in place of its path.

    A key added to the schema later is off in old jobs, and so leaves their identity alone.
    """
    return distinguishing(job_leaves(config)) | {"data.digest": dataset}


def distinguishing(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves, of a configuration now or of one stored long ago, that tell its job from others on the same data."""
    return {
        path: value
        for path, value in leaves.items()
        if part_of_a_job(path) and path != "data.root" and (path not in KEYS or value != KEYS[path].default)
    }


def is_same(stored: Mapping[str, Any], config: Config) -> bool:
    """Whether a stored configuration tells the same job as another one, save for the data's content."""
    return distinguishing(leaves(stored)) == distinguishing(flat(config))


def job_key(identity: Mapping[str, Any]) -> str:
    """64 hexadecimal digits that name a job."""
    return _digest(dict(identity))


def cell_key(identity: Mapping[str, Any]) -> str:
    """64 hexadecimal digits that name a job without its seed: what statistics group by."""
    return _digest({path: value for path, value in identity.items() if path != "seed"})


def sweep_id(job_keys: Iterable[str]) -> str:
    """64 hexadecimal digits that name a set of jobs."""
    return _digest(sorted(job_keys))


def _digest(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@functools.cache
def code_digest() -> str:
    """A digest of the code that decides a job's numbers, so that results of edited code can be told apart.

    As it was when the process asked first: what is edited later is not what it has imported.  A checkout with Windows
    line endings has the digest of one without.
    """
    source = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(path for pattern in CODE for path in source.glob(pattern)):
        digest.update(path.relative_to(source).as_posix().encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def applies(path: str, job: Mapping[str, Any]) -> bool:
    """Whether the options that a job has chosen read a key."""
    readers = KEYS[path].read_by
    return not readers or job.get(f"{path.split('.')[0]}.name") in readers


def varying(jobs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys whose value is not the same in all jobs that read them, the norm first, the seed last."""
    jobs = list(jobs)
    paths = dict.fromkeys(path for job in jobs for path in job)
    # Most keys are the same everywhere, which is found out without asking thousands of jobs what they read.
    found = [path for path in paths if len({repr(job.get(path)) for job in jobs}) > 1]
    return _ordered(path for path in found if len({repr(job[path]) for job in jobs if applies(path, job)}) > 1)


def differing(job: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What varies between two jobs, as `varying` tells it."""
    unlike = (path for path, value in job.items() if repr(value) != repr(other[path]))
    return _ordered(path for path in unlike if applies(path, job) and applies(path, other))


def _ordered(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=lambda path: (path == "seed", path != "norm.name", list(KEYS).index(path)))
