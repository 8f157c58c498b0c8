"""How jobs, keys and values are called: in labels, tables and folders' names."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from src.runs.identity import applies

LONGEST_NAME = 60  # letters of a label in a folder's name


def job_name(job: Mapping[str, Any], shown: Iterable[str], *, seed: bool = True) -> str:
    """A short name, such as `gn l1=1e-05 s0`: the norm, the shown keys by their last part, the seed."""
    paths = [path for path in shown if path not in ("norm.name", "seed") and applies(path, job)]
    words = [str(job["norm.name"]), *(f"{short_name(path, paths)}={format_value(job[path])}" for path in paths)]
    return " ".join([*words, f"s{job['seed']}"] if seed else words)


def short_name(path: str, among: Iterable[str]) -> str:
    """A dotted key by its last part, a group's choice by its group; whole where another key among them ends alike."""
    last = path.removesuffix(".name").rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in among) <= 1 else path


def format_value(value: Any) -> str:
    """A value as it is typed: 0 for 0.0, 1e-05 for 0.00001, true for True, null for None."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def folder_name(label: str, key: str) -> str:
    """A folder's name: readable, safe in any shell and on any disk, and unique by the first digits of the job's key."""
    words, _, seed = label.rpartition(" ")
    end = _safe(seed)[:LONGEST_NAME]
    readable = f"{_safe(words)[: LONGEST_NAME - len(end)]}_{end}".strip("_")  # the seed is never cut off
    return f"{readable}-{key[:8]}"


def _safe(words: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", words).strip("._-")
