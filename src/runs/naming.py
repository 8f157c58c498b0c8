"""Builds the names of jobs, keys and values for tables and folder names."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from src.runs.identity import applies

LONGEST_NAME = 60  # a folder's name holds at most this many characters of the job's name


def job_name(job: Mapping[str, Any], shown_keys: Iterable[str], *, seed: bool = True) -> str:
    """Return a job's short name, such as `gn l1=1e-05 s0`: the norm, the values of `shown_keys`, and the seed."""
    paths = [path for path in shown_keys if path not in ("norm.name", "seed") and applies(path, job)]
    words = [str(job["norm.name"]), *(f"{short_name(path, paths)}={format_value(job[path])}" for path in paths)]
    return " ".join([*words, f"s{job['seed']}"] if seed else words)


def short_name(path: str, keys: Iterable[str]) -> str:
    """Return a key's last part, such as `l1`, or the whole key if another of the `keys` ends with the same part."""
    last_part = path.removesuffix(".name").rpartition(".")[2]
    return last_part if sum(other.rpartition(".")[2] == last_part for other in keys) <= 1 else path


def format_value(value: Any) -> str:
    """Return a value as a user types it: 0 for 0.0, 1e-05 for 0.00001, true for True, null for None."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, float):
        short_form = f"{value:g}"
        return short_form if float(short_form) == value else repr(value)
    return str(value)


def folder_name(name: str, key: str) -> str:
    """Return the name of a job's folder: the job's name in characters that any disk allows, and 8 digits of its key."""
    words, _, seed = name.rpartition(" ")
    end = _file_name_text(seed)[:LONGEST_NAME]
    readable = f"{_file_name_text(words)[: LONGEST_NAME - len(end)]}_{end}".strip("_")  # the seed is never cut off
    return f"{readable}-{key[:8]}"


def _file_name_text(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text).strip("._-")
