"""The compact letter display: cells that share a letter do not differ significantly."""

import string
from collections.abc import Iterable, Sequence

LETTERS = string.ascii_letters
CELLS = 100  # letters for more cells would be unreadable
COLUMNS = 500  # intermediate columns; more would take too long


def letters(cells: int, decided: Iterable[tuple[int, int]], names: Sequence[str] = LETTERS) -> list[str] | None:
    """Letters for each cell, the best cell first; two cells share a letter exactly if their pair is not decided.

    Insert and absorb (Piepho 2004, "An algorithm for a letter-based representation of all-pairwise comparisons"): all
    cells begin in one column; a decided pair splits each column that holds both; columns inside others are absorbed.
    None for too many cells, or if there are too few letters in `names`.
    """
    if cells > CELLS:
        return None
    columns = [(1 << cells) - 1] if cells else []  # as bits, one per cell
    for first, second in decided:
        one, other = 1 << first, 1 << second
        split = [column for column in columns if column & one and column & other]
        parts = {part for column in split for part in (column & ~one, column & ~other)}
        columns = [column for column in columns if column not in split]
        for part in sorted(parts, key=int.bit_count, reverse=True):  # a larger column absorbs the smaller ones
            if not any(part & ~column == 0 for column in columns):
                columns.append(part)
        if len(columns) > COLUMNS:
            return None
    if len(columns) > len(names):
        return None
    columns.sort(key=lambda column: [position for position in range(cells) if column >> position & 1])
    return [
        "".join(name for name, column in zip(names, columns, strict=False) if column >> cell & 1)
        for cell in range(cells)
    ]
