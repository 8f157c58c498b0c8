"""Prints a comparison: first the answer, then the table and the evidence, and last the commands to type next."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.errors.atlas import Atlas
from src.errors.atlas_words import cell_lines, error_sentences
from src.report.table import Column, cell_column, number_columns, setting_columns, table_notes
from src.results.results import Results
from src.runs.sweep import Sweep
from src.verdict.statistics import ALPHA
from src.verdict.verdicts import Verdicts
from src.wording import shorten

MAX_EFFECTS = 6  # lines; the report lists all effects
MAX_PROBLEMS = 10  # lines about unusable jobs


def print_lines(console: Console, lines: Iterable[str], *, wrap: bool = True) -> None:
    """Print each text.  `wrap=False` never breaks a line, so users can copy paths and commands."""
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=not wrap)


def print_evidence(console: Console, verdicts: Verdicts, atlases: Sequence[Atlas]) -> None:
    """Print the effects of single settings (significant effects first), the pairs left out, and the test errors."""
    significant_first = sorted(verdicts.effects, key=lambda effect: effect.p_holm is None or effect.p_holm >= ALPHA)
    effect_lines = [f"  {effect.words}" for effect in significant_first]
    print_lines(console, [""] if effect_lines else [])
    print_lines(console, shorten(effect_lines, MAX_EFFECTS, "  and {:,} more effects in the report"))
    print_lines(console, verdicts.left_out, wrap=False)
    for atlas in atlases:
        heading = [f"{atlas.dataset}:"] if len(atlases) > 1 else []
        print_lines(console, ["", *heading, *error_sentences(atlas), *cell_lines(atlas)])


def problem_lines(results: Results) -> list[str]:
    """A line for each job that cannot be compared or lacks a file, with the reason."""
    jobs = [*results.unfinished, *results.incomplete]
    lines = [f"{job.state}: {job.label}: {' '.join(job.reason.split())}" for job in jobs]
    return shorten(lines, MAX_PROBLEMS)


def next_step_lines(
    results: Results, sweeps: Sequence[Sweep], atlases: Sequence[Atlas] = (), more: str | None = None
) -> Iterator[str]:
    """Yield the commands that train missing jobs, and the commands in `more`, which add seeds, with explanations."""
    jobs = [*results.unfinished, *results.incomplete]
    if any(atlas.unreadable_reasons for atlas in atlases) or any(job.state != "not readable" for job in jobs):
        yield "To train only the missing jobs, run the same command again:"
        yield from dict.fromkeys(f"  {sweep.command}" for sweep in sweeps)
    if more:
        yield "To find smaller differences, add seeds (choose their number before you start):"
        yield from (f"  {line}" for line in more.splitlines())


def print_table(results: Results, frame: pd.DataFrame, console: Console) -> None:
    """Print the table and its notes.  A narrow terminal drops columns, but never cuts a value."""
    numbers, width = number_columns(frame), console.width
    columns = _drop_columns([*setting_columns(results, frame), *numbers], 2, width)
    if _table_width(columns) > width:
        # One column with the cell's name can wrap, but a column for each key would be cut.
        columns = _drop_columns([cell_column(frame), *(column for column in numbers if column.optional < 2)], 1, width)
    console.print(_make_table(columns, width), crop=False)
    lines = table_notes(results, frame)
    hidden = [column.short_heading.replace("-\n", "").replace("\n", " ") for column in numbers if column not in columns]
    if hidden:
        lines.append(f"The terminal is too narrow for these columns: {', '.join(hidden)} (see table.csv).")
    for line in lines:
        console.print(Text(line, style="dim"), soft_wrap=False)


def _drop_columns(columns: Sequence[Column], optional: int, width: int) -> list[Column]:
    """Drop columns whose rank is `optional`, the rightmost first, until the table fits into `width` characters."""
    kept_columns = list(columns)
    for column in [column for column in reversed(kept_columns) if column.optional == optional]:
        if _table_width(kept_columns) <= width:
            break
        kept_columns.remove(column)
    return kept_columns


def _table_width(columns: Sequence[Column], *, wrap: bool = True) -> int:
    """The width of a table in characters.  With `wrap`, a column that can wrap is as narrow as its longest word."""
    widths = []
    for column in columns:
        lines = [*column.short_heading.split("\n"), *column.texts]
        pieces = [word for line in lines for word in line.split()] if wrap and column.wraps else lines
        widths.append(max(map(cell_len, pieces)))
    return sum(widths) + 2 * (len(widths) - 1)


def _make_table(columns: Sequence[Column], width: int) -> Table:
    """A table of `width` characters, or wider if a value would be cut."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.width = min(_table_width(columns, wrap=False), max(_table_width(columns), width))
    for column in columns:
        alignment: Literal["right", "left"] = "right" if column.numeric else "left"
        table.add_column(Text(column.short_heading), justify=alignment, no_wrap=not column.wraps)
    for texts in zip(*(column.texts for column in columns), strict=True):
        table.add_row(*map(Text, texts))
    return table
