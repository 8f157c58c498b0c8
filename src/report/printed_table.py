"""The comparison's table on a screen, however narrow: columns give way, and no value is cut."""

from collections.abc import Iterable, Sequence
from typing import Literal

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.report.columns import Column, Row, label_column, number_columns, rows, varied_columns
from src.report.table import notes
from src.results.records import Records


def print_table(records: Records, frame: pd.DataFrame, console: Console) -> None:
    """The table as wide as the console allows, with the rule by which its numbers were made, and what they can tell."""
    shown, numbers = rows(frame), number_columns(frame)
    columns = _fitting([*varied_columns(records, frame), *numbers], 2, shown, console.width)
    if not _fits(columns, shown, console.width):
        # One column with the whole label can be wrapped; a column for each key could only be cut.
        short = [label_column(), *(column for column in numbers if column.gives_way < 2)]
        columns = _fitting(short, 1, shown, console.width)
    console.print(_table(columns, shown, console.width), crop=False)
    lines = notes(records, frame)
    left_out = [column.on_screen.replace("-\n", "").replace("\n", " ") for column in numbers if column not in columns]
    if left_out:
        lines.append(f"too narrow for: {', '.join(left_out)} (table.csv has them)")
    for line in lines:
        console.print(Text(line, style="dim"), soft_wrap=False)


def _fitting(columns: Sequence[Column], rank: int, rows: Sequence[Row], width: int) -> list[Column]:
    """The columns without as many of those of a rank, from the right, as must go to fit into so many characters."""
    left = list(columns)
    for column in [column for column in reversed(left) if column.gives_way == rank]:
        if _fits(left, rows, width):
            break
        left.remove(column)
    return left


def _fits(columns: Sequence[Column], rows: Sequence[Row], width: int) -> bool:
    return _total(_widths(column, rows)[0] for column in columns) <= width


def _total(widths: Iterable[int]) -> int:
    """A table's width, two spaces between its columns."""
    widths = list(widths)
    return sum(widths) + 2 * (len(widths) - 1)


def _widths(column: Column, rows: Sequence[Row]) -> tuple[int, int]:
    """The characters that a column needs at least, and those in which nothing of it is wrapped."""
    lines = [*column.on_screen.split("\n"), *(column.text(row) for row in rows)]
    widest = max(map(cell_len, lines))
    words = [word for line in lines for word in line.split()]
    return max(map(cell_len, words)) if column.wraps else widest, widest


def _table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Table:
    """A table in which no value is cut, if need be wider than so many characters."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    sizes = [_widths(column, rows) for column in columns]
    least, most = _total(size[0] for size in sizes), _total(size[1] for size in sizes)
    table.width = min(most, max(least, width))
    for column in columns:
        side: Literal["right", "left"] = "right" if column.numeric else "left"
        table.add_column(Text(column.on_screen), justify=side, no_wrap=not column.wraps)
    for row in rows:
        table.add_row(*(Text(column.text(row)) for column in columns))
    return table
