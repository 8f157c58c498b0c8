"""Computes a compact letter display, in which cells that share a letter do not differ significantly."""

import string
from collections.abc import Iterable, Sequence

LETTERS = string.ascii_letters
MAX_CELLS = 100  # more letters would be unreadable
MAX_COLUMNS = 500  # with more intermediate columns, the computation would take too long


def letters(cells: int, decided: Iterable[tuple[int, int]], names: Sequence[str] = LETTERS) -> list[str] | None:
    """Return the letters of each cell, the best cell first.  Cells that do not differ significantly share a letter.

    `decided` holds the pairs that differ significantly.  Insert and absorb (Piepho 2004, "An algorithm for a
    letter-based representation of all-pairwise comparisons") starts with all cells in one column.  A decided pair
    splits each column that holds both cells, and a column absorbs its subsets.  None for too many cells or letters.
    """
    if cells > MAX_CELLS:
        return None
    columns = [(1 << cells) - 1] if cells else []  # each column is an integer with one bit per cell
    for first, second in decided:
        first_bit, second_bit = 1 << first, 1 << second
        split = [column for column in columns if column & first_bit and column & second_bit]
        parts = {part for column in split for part in (column & ~first_bit, column & ~second_bit)}
        columns = [column for column in columns if column not in split]
        for part in sorted(parts, key=int.bit_count, reverse=True):  # larger columns first: they absorb smaller ones
            if not any(part & ~column == 0 for column in columns):
                columns.append(part)
        if len(columns) > MAX_COLUMNS:
            return None
    if len(columns) > len(names):
        return None
    columns.sort(key=lambda column: [position for position in range(cells) if column >> position & 1])
    return [
        "".join(name for name, column in zip(names, columns, strict=False) if column >> cell & 1)
        for cell in range(cells)
    ]
