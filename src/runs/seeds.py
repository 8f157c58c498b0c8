"""Seeds in a command's words and in job names: the one place that writes and reads them."""

import re
from collections.abc import Collection, Iterable, Sequence

KEYS = ("seed", "seeds")  # two ways to give the seeds of a grid
IN_A_CELL = re.compile(r"""\s*\bseed=(?:\w+\([^()]*\)|[^\s"'\]]+)""")


def seeds_word(seeds: Sequence[int]) -> str:
    """The word that requests these seeds: `seeds=3` for 0, 1 and 2, otherwise `seed=1,4`."""
    is_range = list(seeds) == list(range(len(seeds)))
    return f"seeds={len(seeds)}" if is_range else f"seed={','.join(map(str, seeds))}"


def without_seeds(words: Iterable[str]) -> list[str]:
    """A command's words without its seeds, also within the lines of `sweep.cells`."""
    return [
        IN_A_CELL.sub("", word) if word.startswith("sweep.cells=") else word
        for word in words
        if word.partition("=")[0] not in KEYS
    ]


def seed_range(seeds: int | None, given: Collection[str]) -> str | None:
    """The word `seed=range(0,N)` that `seeds=N` abbreviates; None without `seeds`, or if `seed` is given too."""
    return None if seeds is None or "seed" in given else f"seed=range(0,{seeds})"


def seed_of(name: str) -> int:
    """The seed at the end of a job's name, such as 0 of `gn l1=1e-05 s0`."""
    return int(name.rpartition(" s")[2])
