"""Each level of a setting at its own best other settings: chosen on validation, reported on test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from src.bad_input import BadInput
from src.results.records import Cell, Records, by_dataset
from src.runs.identity import applies
from src.runs.naming import format_value, short_name
from src.verdict.pairs import Pair
from src.verdict.pairwise import as_pairs, compare_cells
from src.verdict.statistics import Summary, summarise
from src.wording import counted, joined


@dataclass(frozen=True)
class TunedLevel:
    """A level at its best; accuracies from 0 to 1."""

    level: str
    cell: str  # the label of the chosen cell
    settings: int  # how many the choice was made from
    runs: int  # finished runs of all of them
    validation: float  # mean over seeds, which the choice was made by
    test: Summary


@dataclass(frozen=True)
class Tuned:
    """The levels beside each other, and what may be said of them."""

    key: str
    rows: tuple[TunedLevel, ...]
    pairs: tuple[Pair, ...]  # of the chosen cells, Holm over these
    sentences: tuple[str, ...]


def tuned(records: Records, key: str, right: Mapping[str, npt.NDArray[np.bool_]] | None = None) -> Tuned:
    """Choose for each level of a key the cell with the highest mean validation accuracy, and compare the chosen.

    Args:
        records: what is compared.
        key: a dotted key, or its last part: `norm`, `l1`.
        right: by run which test images it gets right, for cells of one seed; without it they are not compared.

    Raises:
        BadInput: for a key that does not vary.
    """
    path = _path(records, key)
    levels: dict[tuple[str, Any], list[Cell]] = {}
    for cell in records.cells:
        if applies(path, cell.leaves):
            levels.setdefault((cell.source["digest"], cell.leaves[path]), []).append(cell)
    chosen = {level: max(cells, key=_validation) for level, cells in levels.items()}
    several = len({digest for digest, _ in levels}) > 1
    rows = tuple(
        TunedLevel(
            level=format_value(level[1]) + (f" on {cells[0].dataset}" if several else ""),
            cell=chosen[level].label,
            settings=len(cells),
            runs=sum(len(cell.jobs) for cell in cells),
            validation=_validation(chosen[level]),
            test=summarise(chosen[level].values("test/accuracy")),
        )
        for level, cells in levels.items()
    )
    pairs = as_pairs([compare_cells(cells, right or {}) for cells in by_dataset(chosen.values())])
    name = short_name(path, records.varies)
    budget = _budget(name, rows, len(records.unfinished))
    ties = [words for cells in levels.values() if (words := _tie(cells))]
    return Tuned(path, rows, pairs, (_rule(name), budget, *ties, *(pair.words for pair in pairs)))


def _path(records: Records, key: str) -> str:
    found = [path for path in records.varies if key in (path, path.removesuffix(".name"), path.rpartition(".")[2])]
    if len(found) == 1:
        return found[0]
    names = [short_name(path, records.varies) for path in records.varies]
    what = f"--tuned {key}: it does not vary here" if not found else f"--tuned {key} is {' or '.join(found)}"
    raise BadInput(what, ", ".join(names) or "what a sweep varies", f"--tuned {(found or names or ['norm'])[0]}")


def _validation(cell: Cell) -> float:
    return summarise(cell.values("val/accuracy")).mean


def _tie(cells: Sequence[Cell]) -> str:
    """Which cells share a level's highest validation accuracy; empty for one cell."""
    highest = max(map(_validation, cells))
    tied = [cell.label for cell in cells if _validation(cell) == highest]
    return f"{joined(tied)} have the same mean validation accuracy: the first one is taken." if len(tied) > 1 else ""


def _rule(name: str) -> str:
    return (
        f"Each {name} at its own best other settings: chosen by mean validation accuracy, reported on test.  The same "
        "runs are chosen and reported, so that a lucky seed favours both; runs with new seeds would not share that."
    )


def _budget(name: str, rows: Sequence[TunedLevel], unfinished: int) -> str:
    if len({(row.settings, row.runs) for row in rows}) == 1:
        given = f"{counted(rows[0].settings, 'setting')} and {counted(rows[0].runs, 'run')}"
        return f"Equal budgets: every {name} was given {given}."
    given = joined(
        [f"{row.level} {counted(row.settings, 'setting')} and {counted(row.runs, 'run')}" for row in rows], 8
    )
    if unfinished:
        missing = counted(unfinished, "run")
        return f"The choice was made from what has finished, which is not the same for all: {given}; {missing} missing."
    return f"Unequal budgets, which favour who was given more to choose from: {given}."
