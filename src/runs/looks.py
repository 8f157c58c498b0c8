"""Counts the looks at each set of methods, and divides the 5 % chance of a false statement between them.

The ledger `multirun/looks.json` stores the looks.  If you delete it or the whole `multirun` folder, they count from 1.
"""

import contextlib
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

from src.bad_input import BadInput
from src.runs.identity import sweep_id
from src.runs.shapes import looks_fault
from src.storage.files import remove_partial_files, write_json
from src.storage.lock import folder_lock
from src.storage.stored import DamagedFile, read_sealed, sealed

FILE = "looks.json"
ALPHA = 0.05  # the chance that anything that is ever said about a set of methods is false
SHARE = 0.95  # a design spends this share of the chance that earlier designs of the same methods left
POWER = 2  # of the spending function of seeds=auto


@dataclass(frozen=True)
class Look:
    """One comparison of a set of methods on one set of runs."""

    number: int  # 1 for the first look at these methods; 0 with one seed, which says nothing about methods
    level: float  # the chance that anything that this look says is false
    planned: tuple[int, ...] = ()  # the numbers of seeds at which seeds=auto looks; empty for a fixed number of seeds
    next_level: float = ALPHA  # the level of the next look at these methods


@dataclass(frozen=True)
class _Entry:
    """A look in the ledger."""

    cells: list[str]  # the sorted keys of the cells, which are the methods
    runs: str  # a hash of the keys of the planned jobs
    seeds: int
    planned: list[int]
    level: float
    time: int  # in milliseconds since 1970
    complete: bool = True  # whether all jobs of the sweep had ended


def take_look(
    multirun: Path,
    cells: Iterable[str],
    runs: Iterable[str],
    seeds: int,
    planned: Sequence[int] = (),
    *,
    complete: bool = True,
) -> Look:
    """Return the look at the methods `cells` (cell keys) on the jobs `runs` (job keys) that have ended, and store it.

    The same methods with the same jobs are the same look.  A fixed number of seeds is a design with one look, and
    seeds=auto is a design with a look at each number of seeds in `planned`.  A look at a sweep that is not `complete`
    is a design of its own.  If the folder is not writable, the look is not stored.  Raises BadInput for a damaged
    ledger.

    The k-th design of the same methods spends 95 % of the chance that the earlier ones left: 4.75 %, 0.2375 %, ...,
    which adds up to 5 % however many follow.  The first share is kept for a complete sweep.  The looks of seeds=auto
    divide the share of their design (`planned_shares`).  Every level is fixed before its design begins, so by
    Bonferroni's inequality at most 5 % of all sequences of looks contain a false statement.
    """
    if seeds < 2:
        return Look(0, ALPHA, next_level=_design_level(0))
    now, looks_planned = time.time_ns() // 1_000_000, list(planned) if complete else []
    new = _Entry(sorted(set(cells)), sweep_id(set(runs)), seeds, looks_planned, 0.0, now, complete)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, BadInput):  # this user may not open the folder, or its disk has no locks
            stack.enter_context(folder_lock(multirun))
        entries = _read(multirun / FILE)
        looks = [entry for entry in entries if entry.cells == new.cells]
        look = next((entry for entry in looks if entry.runs == new.runs), None)
        if look is None:
            share = planned_shares(planned)[seeds] if looks_planned else 1.0
            look = replace(new, level=_design_level(_designs([*looks, new])[-1]) * share)
            looks.append(look)
            with contextlib.suppress(OSError):  # not writable: the comparison is still worth reading
                remove_partial_files(multirun, shared=True)
                write_json(multirun / FILE, sealed({"looks": [asdict(entry) for entry in [*entries, look]]}))
    return Look(looks.index(look) + 1, look.level, tuple(look.planned), _next_level(looks, look))


def planned_shares(planned: Sequence[int]) -> dict[int, float]:
    """Return the share of its design's level that seeds=auto spends at each of its numbers of seeds; they add up to 1.

    At n seeds of at most N, the share spent so far is (n/N)^2, a power family of Kim and DeMets (1987).
    """
    spent = [0.0, *((seeds / planned[-1]) ** POWER for seeds in planned)]
    return {seeds: after - before for seeds, (before, after) in zip(planned, pairwise(spent), strict=True)}


def _designs(looks: Sequence[_Entry]) -> list[int]:
    """Return the number of the design of each look at the same methods; 0 is the first design of a complete sweep."""
    designs: list[tuple[int, list[int], set[int]]] = []  # number, planned numbers of seeds, and those that are used
    numbers = []
    for look in looks:
        fitting = [item for item in designs if item[1] == look.planned and look.seeds not in item[2]]
        if not look.planned or not fitting:
            later = max([0, *(number for number, *_ in designs)]) + 1
            is_first = look.complete and all(number > 0 for number, *_ in designs)
            fitting = [(0 if is_first else later, look.planned, set())]
            designs += fitting
        numbers.append(fitting[0][0])
        fitting[0][2].add(look.seeds)
    return numbers


def _design_level(number: int) -> float:
    return float(ALPHA * SHARE * (1 - SHARE) ** number)


def _next_level(looks: Sequence[_Entry], look: _Entry) -> float:
    """Return the level of the look after `look`: the next one that seeds=auto plans, or else a new design."""
    later = [seeds for seeds in look.planned if seeds > look.seeds]
    if later:
        shares = planned_shares(look.planned)
        return look.level * shares[later[0]] / shares[look.seeds]
    numbers = _designs(looks)
    return _design_level(max(numbers) + 1 if 0 in numbers else 0)


def _read(path: Path) -> list[_Entry]:
    """Return the looks in a ledger, the oldest first; raises BadInput if it cannot be read or is damaged."""
    try:
        stored = read_sealed(path, looks_fault)
    except FileNotFoundError:
        return []
    except (DamagedFile, OSError) as error:
        reason = error.reason if isinstance(error, DamagedFile) else f"cannot be read: {error.strerror}"
        raise BadInput(
            f"{path} {reason}",
            "the file that normlab wrote, which counts the comparisons of each set of methods",
            advice=f"restore it from a backup; after rm {shlex.quote(str(path))} the comparisons count from 1 again",
        ) from error
    names = {item.name for item in fields(_Entry)}
    return [_Entry(**{name: value for name, value in look.items() if name in names}) for look in stored["looks"]]
