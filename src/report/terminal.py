"""Prints a comparison: first the answer, then the table, and last what to do next."""

from collections.abc import Iterable, Sequence
from typing import Literal

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.errors.atlas import Atlas
from src.report.facts import problem_lines
from src.report.table import Column, cell_column, column_rows, mark_notes, number_columns, setting_columns
from src.results.results import Results
from src.runs.sweep import Sweep
from src.verdict.words import NextStep
from src.wording import shorten

MAX_PROBLEMS = 5  # lines about unusable jobs


def print_lines(console: Console, lines: Iterable[str], *, wrap: bool = True) -> None:
    """Print each text.  `wrap=False` never breaks a line, so users can copy its path."""
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=not wrap)


def print_step(console: Console, step: NextStep) -> None:
    """Print what to do next; commands are never broken, so users can copy them."""
    lines = step.lines
    if step.commands and cell_len(lines[0]) > console.width:
        print_lines(console, [f"{step.text}:"])
        lines[0] = f"  {step.commands[0]}"
    print_lines(console, lines, wrap=not step.commands)


def print_problems(console: Console, results: Results, sweeps: Sequence[Sweep], atlases: Sequence[Atlas] = ()) -> None:
    """Print the first problems of the jobs, and the command that trains these jobs again."""
    lines = shorten(problem_lines(results, atlases), MAX_PROBLEMS, "and {:,} more in the report")
    print_lines(console, lines, wrap=False)
    jobs = [*results.unfinished, *results.incomplete]
    if any(job.state != "not readable" for job in jobs) or any(atlas.unreadable_reasons for atlas in atlases):
        commands = tuple(dict.fromkeys(sweep.command for sweep in sweeps))
        print_step(console, NextStep("To train the missing runs, run the same command again", commands))


def print_table(results: Results, frame: pd.DataFrame, console: Console) -> None:
    """Print the table and a note for each mark in it.  A narrow terminal drops columns, but never cuts a value."""
    print_columns(setting_columns(results, frame), cell_column(frame), number_columns(frame), console)
    print_lines(console, mark_notes(results, frame))


def print_columns(settings: Sequence[Column], cell: Column, numbers: Sequence[Column], console: Console) -> None:
    """Print a table of settings and numbers; a narrow terminal shows the column `cell` instead of the settings."""
    width = console.width
    columns = _drop_columns([*settings, *numbers], 2, width)
    if _table_width(columns) > width:
        # One column with the cell's name can wrap, but a column for each key would be cut.
        columns = _drop_columns([cell, *(column for column in numbers if column.drop_rank < 2)], 1, width)
    console.print(_make_table(columns, width), crop=False)


def _drop_columns(columns: Sequence[Column], drop_rank: int, width: int) -> list[Column]:
    """Drop columns whose rank is `drop_rank`, the rightmost first, until the table fits into `width` characters."""
    kept_columns = list(columns)
    for column in [column for column in reversed(kept_columns) if column.drop_rank == drop_rank]:
        if _table_width(kept_columns) <= width:
            break
        kept_columns.remove(column)
    return kept_columns


def _table_width(columns: Sequence[Column], *, wrap: bool = True) -> int:
    """The width of a table in characters.  With `wrap`, a column that can wrap is as narrow as its longest word."""
    widths = []
    for column in columns:
        lines = [*column.short_heading.split("\n"), *column.texts]
        unbreakable_texts = [word for line in lines for word in line.split()] if wrap and column.wraps else lines
        widths.append(max(map(cell_len, unbreakable_texts)))
    return sum(widths) + 2 * (len(widths) - 1)


def _make_table(columns: Sequence[Column], width: int) -> Table:
    """A table of `width` characters, or wider if a value would be cut."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.width = min(_table_width(columns, wrap=False), max(_table_width(columns), width))
    for column in columns:
        alignment: Literal["right", "left"] = "right" if column.numeric else "left"
        table.add_column(Text(column.short_heading), justify=alignment, no_wrap=not column.wraps)
    for texts in column_rows(columns):
        table.add_row(*map(Text, texts))
    return table
