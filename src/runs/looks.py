"""Counts the looks at each set of methods, and divides the 5 % chance of a false statement between them.

The ledger `multirun/looks.json` stores the looks.  If you delete it or the whole `multirun` folder, they count from 1.
"""

import contextlib
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

from src.bad_input import BadInput
from src.runs.identity import sweep_id
from src.runs.shapes import looks_fault
from src.schema import known_fields
from src.storage.files import remove_partial_files, write_json
from src.storage.lock import folder_lock
from src.storage.stored import DamagedFile, read_sealed, sealed

FILE = "looks.json"
ALPHA = 0.05  # the chance that anything that is ever said about a set of methods is false
DESIGN_SHARE = 0.95  # a design spends this share of the chance that earlier designs of the same methods left
SPENDING_POWER = 2  # of the spending function of seeds=auto


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
    runs: str  # a hash of the keys of the jobs that had ended
    seeds: int
    planned: list[int]
    level: float
    time: int  # in milliseconds since 1970
    complete: bool = True  # whether all jobs of the sweep had ended


def take_look(
    multirun: Path,
    cell_keys: Iterable[str],
    job_keys: Iterable[str],
    seed_count: int,
    planned: Sequence[int] = (),
    *,
    complete: bool = True,
) -> Look:
    """Return the look at the methods `cell_keys` on the jobs `job_keys`, which have ended, and store it.

    The same methods with the same jobs are the same look.  A fixed number of seeds is a design with one look, and
    seeds=auto is a design with a look at each number of seeds in `planned`.  A look at a sweep that is not `complete`
    is a design of its own.  If the folder is not writable, the look is not stored.  Raises BadInput for a damaged
    ledger.

    The k-th design of the same methods spends 95 % of the chance that the earlier ones left: 4.75 %, 0.2375 %, ...,
    which adds up to 5 % however many follow.  The first share is kept for a complete sweep.  The looks of seeds=auto
    divide the share of their design (`planned_shares`).  Every level is fixed before its design begins, so by
    Bonferroni's inequality at most 5 % of all sequences of looks contain a false statement.
    """
    if seed_count < 2:
        return Look(0, ALPHA, next_level=design_level(0))
    now, planned_counts = time.time_ns() // 1_000_000, list(planned) if complete else []
    new_look = _Entry(sorted(set(cell_keys)), sweep_id(set(job_keys)), seed_count, planned_counts, 0.0, now, complete)
    with contextlib.ExitStack() as locks:
        with contextlib.suppress(OSError, BadInput):  # this user may not open the folder, or its disk has no locks
            locks.enter_context(folder_lock(multirun))
        all_looks = _read_ledger(multirun / FILE)
        same_methods = [entry for entry in all_looks if entry.cells == new_look.cells]
        look = next((entry for entry in same_methods if entry.runs == new_look.runs), None)
        if look is None:
            share = planned_shares(planned)[seed_count] if planned_counts else 1.0
            look = replace(new_look, level=design_level(_design_numbers([*same_methods, new_look])[-1]) * share)
            same_methods.append(look)
            with contextlib.suppress(OSError):  # not writable: the comparison is still worth reading
                remove_partial_files(multirun, shared=True)
                write_json(multirun / FILE, sealed({"looks": [asdict(entry) for entry in [*all_looks, look]]}))
    return Look(same_methods.index(look) + 1, look.level, tuple(look.planned), _next_level(same_methods, look))


def planned_shares(planned: Sequence[int]) -> dict[int, float]:
    """Return the share of its design's level that seeds=auto spends at each of its numbers of seeds; they add up to 1.

    At n seeds of at most N, the share spent so far is (n/N)^2, a power family of Kim and DeMets (1987).
    """
    spent_shares = [0.0, *((seeds / planned[-1]) ** SPENDING_POWER for seeds in planned)]
    return {seeds: after - before for seeds, (before, after) in zip(planned, pairwise(spent_shares), strict=True)}


def _design_numbers(looks: Sequence[_Entry]) -> list[int]:
    """Return the number of the design of each look at the same methods; 0 is the first design of a complete sweep."""
    designs: list[tuple[int, list[int], set[int]]] = []  # number, planned numbers of seeds, and those that are used
    numbers = []
    for look in looks:
        open_designs = [design for design in designs if design[1] == look.planned and look.seeds not in design[2]]
        if not look.planned or not open_designs:
            next_number = max([0, *(number for number, *_ in designs)]) + 1
            is_first = look.complete and all(number > 0 for number, *_ in designs)
            open_designs = [(0 if is_first else next_number, look.planned, set())]
            designs += open_designs
        numbers.append(open_designs[0][0])
        open_designs[0][2].add(look.seeds)
    return numbers


def design_level(number: int) -> float:
    """Return the error probability of design `number` of the same methods; 0 is the first one."""
    return float(ALPHA * DESIGN_SHARE * (1 - DESIGN_SHARE) ** number)


def _next_level(looks: Sequence[_Entry], look: _Entry) -> float:
    """Return the level of the look after `look`: the next one that seeds=auto plans, or else a new design."""
    later_counts = [seeds for seeds in look.planned if seeds > look.seeds]
    if later_counts:
        shares = planned_shares(look.planned)
        return look.level * shares[later_counts[0]] / shares[look.seeds]
    numbers = _design_numbers(looks)
    return design_level(max(numbers) + 1 if 0 in numbers else 0)


def _read_ledger(path: Path) -> list[_Entry]:
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
    return [_Entry(**known_fields(_Entry, look)) for look in stored["looks"]]
