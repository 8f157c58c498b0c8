"""The compact letter display: cells that share a letter do not differ significantly."""

import string
from collections.abc import Iterable, Sequence

LETTERS = string.ascii_letters
CELLS = 100  # letters for more cells would be unreadable
COLUMNS = 500  # intermediate columns; more would take too long


def letters(cells: int, decided: Iterable[tuple[int, int]], names: Sequence[str] = LETTERS) -> list[str] | None:
    """Letters for each cell; two cells share a letter exactly if their pair is not decided.

    Insert and absorb (Piepho 2004, "An algorithm for a letter-based representation of all-pairwise comparisons"): all
    cells begin in one column; a decided pair splits each column that holds both; columns inside others are absorbed.

    Args:
        cells: their number; the first cell is the best and gets the first letter.
        decided: the pairs of positions that differ significantly.
        names: the letters to use.

    Returns:
        A string for each cell; None for too many cells, or if the letters do not suffice.
    """
    if cells > CELLS:
        return None
    columns = [(1 << cells) - 1] if cells else []  # as bits, one per cell
    for first, second in decided:
        one, other = 1 << first, 1 << second
        split = [column for column in columns if column & one and column & other]
        parts = [part for column in split for part in (column & ~one, column & ~other)]
        columns = _absorb([column for column in columns if not (column & one and column & other)], parts)
        if len(columns) > COLUMNS:
            return None
    if len(columns) > len(names):
        return None
    columns.sort(key=lambda column: [position for position in range(cells) if column >> position & 1])
    return [
        "".join(name for name, column in zip(names, columns, strict=False) if column >> cell & 1)
        for cell in range(cells)
    ]


def _absorb(columns: list[int], parts: list[int]) -> list[int]:
    """The columns, and the new parts that lie in no other column; an old column lies in no part."""
    kept = list(columns)
    for part in sorted(set(parts), key=int.bit_count, reverse=True):
        if not any(part & ~column == 0 for column in kept):
            kept.append(part)
    return kept
