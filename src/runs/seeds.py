"""Finds, writes and removes the seeds in command lines and job names."""

import re
from collections.abc import Iterable, Sequence

SEED_KEYS = ("seed", "seeds")  # `seed=1,4` lists seeds; `seeds=3` counts them
AUTO = "auto"  # `seeds=auto` adds seeds until every question is decided
EMPTY_CELL = re.compile(r"""(?:""|''),|,?(?:""|'')""")
CELL_SEED = re.compile(r"""\s*\bseed=(?:\w+\([^()]*\)|[^\s"'\]]+)""")  # ` seed=1` or ` seed=range(0,3)`


def seeds_argument(seeds: Sequence[int]) -> str:
    """Return the command-line word for some seeds: `seeds=3` for 0, 1 and 2, otherwise a list such as `seed=1,4`."""
    is_range = list(seeds) == list(range(len(seeds)))
    return f"seeds={len(seeds)}" if is_range else f"seed={','.join(map(str, seeds))}"


def without_seeds(arguments: Iterable[str]) -> list[str]:
    """Return the words of a command without seeds; also removes the seeds in `sweep.cells`."""
    kept = []
    for argument in arguments:
        if argument.startswith("sweep.cells="):
            cells = EMPTY_CELL.sub("", re.sub(r"""(["'])\s+""", r"\1", CELL_SEED.sub("", argument)))
            kept += [cells] if re.search(r"\w", cells.partition("=")[2]) else []
        elif argument.partition("=")[0] not in SEED_KEYS:
            kept.append(argument)
    return kept


def seed_of(name: str) -> int:
    """Return the seed at the end of a job's name, such as 0 for `gn l1=1e-05 s0`."""
    return int(name.rpartition(" s")[2])
