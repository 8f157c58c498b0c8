"""The comparison's table as it is read: its columns, each with its heading and the text of every row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from src.report.table import notes
from src.results.records import Records
from src.runs.naming import format_value, short_name

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column: its heading, what it says of a row, and how it gives way where a screen is narrow."""

    heading: str
    text: Callable[[Row], str]
    short: str | None = None  # the heading on a screen, in lines
    gives_way: int = 0  # 0 never, 1 where not even the short table fits, 2 at once
    numeric: bool = True
    wraps: bool = False  # between words; what is shown is never cut

    @property
    def on_screen(self) -> str:
        """The heading on a screen."""
        return self.heading if self.short is None else self.short


@dataclass(frozen=True)
class TableRows:
    """The whole table as texts, as they are read; nothing in them is escaped."""

    headings: tuple[str, ...]
    numeric: tuple[bool, ...]  # by column
    rows: tuple[tuple[str, ...], ...]


def table_rows(records: Records, frame: pd.DataFrame) -> TableRows:
    """A row a cell, accuracies in percent with their standard deviation over seeds.

    Args:
        records: what is compared.
        frame: its table, as `as_frame` makes it.
    """
    columns = [*varied_columns(records, frame), *number_columns(frame)]
    return TableRows(
        tuple(column.heading for column in columns),
        tuple(column.numeric for column in columns),
        tuple(tuple(column.text(row) for column in columns) for row in rows(frame)),
    )


def table_notes(records: Records, frame: pd.DataFrame) -> list[str]:
    """What must be known to read the table rightly, in whole sentences."""
    found = notes(records, frame)
    return [f"{words[:1].upper()}{words[1:]}" + ("" if words.endswith(".") else ".") for words in found]


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The table's rows by name, numbers and texts as Python's own."""
    return [{str(name): value for name, value in row.items()} for row in frame.astype(object).to_dict("records")]


def varied_columns(records: Records, frame: pd.DataFrame) -> list[Column]:
    """A column for each key that tells the cells apart; other code and environments mark the first."""
    varied = list(dict.fromkeys(["norm.name", *records.varies]))
    return [
        Column(short_name(path, varied), _value_of(path, mark=position == 0), numeric=not _holds_words(frame[path]))
        for position, path in enumerate(varied)
    ]


def _holds_words(values: "pd.Series[Any]") -> bool:
    return any(isinstance(value, str) for value in values)


def label_column() -> Column:
    """All that tells a cell apart, in one column."""
    return Column("cell", _value_of("cell", mark=True), numeric=False, wraps=True)


def number_columns(frame: pd.DataFrame) -> list[Column]:
    """Letters, counts, accuracies, errors and costs; those that say nothing of these cells are left out."""
    several = bool((frame["n"] > 1).any())
    letters = Column("letters", lambda row: str(row["letters"]), "", numeric=False)
    interval = Column("95 % of the mean", lambda row: _points(row["test/accuracy ci95"]), "95 %", gives_way=1)
    size = Column("parameters", lambda row: f"{row['parameters']:,}", "para-\nmeters", gives_way=2)
    return [
        *([letters] if "letters" in frame else []),
        Column("n", lambda row: f"{row['n']}"),
        Column("validation accuracy, %", lambda row: _accuracy(row, "val/accuracy"), "validation\naccuracy %"),
        Column("test accuracy, %", lambda row: _accuracy(row, "test/accuracy"), "test\naccuracy %"),
        *([interval] if several else []),
        Column("test errors", lambda row: f"{row['test/errors']:.{int(row['n'] > 1)}f}", "test\nerrors", gives_way=1),
        Column("test loss", lambda row: _loss(row["test/loss"]), "test\nloss", gives_way=2),
        Column("training, s", lambda row: f"{row['seconds']:.1f}", "training\nseconds", gives_way=2),
        *([size] if frame["parameters"].nunique() > 1 else []),
    ]


def _value_of(path: str, *, mark: bool) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        value = row[path]
        shown: str = "-" if pd.isna(value) else format_value(value)
        marks = ("*" if row["other code"] else "") + ("†" if row["other environment"] else "")
        return shown + marks if mark else shown

    return text


def _accuracy(row: Row, metric: str) -> str:
    sd = row[f"{metric} sd"]
    return f"{100 * row[metric]:.2f}" + ("" if pd.isna(sd) else f" ± {100 * sd:.2f}")


def _loss(loss: float) -> str:
    """Four decimals; a run that all but diverged may have a loss of any length."""
    return f"{loss:.4f}" if loss < 1000 else f"{loss:.1e}"


def _points(half_width: float | None) -> str:
    return "" if half_width is None or pd.isna(half_width) else f"± {100 * half_width:.2f}"
