"""The comparison's table as headings and texts, for documents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from src.comparison.records import Records
from src.comparison.table import SELECTION_RULE, loss_text, notes
from src.runs.identity import format_value, short_name


@dataclass(frozen=True)
class TableRows:
    """Texts, as they are read; nothing in them is escaped."""

    headings: tuple[str, ...]
    numeric: tuple[bool, ...]  # by column
    rows: tuple[tuple[str, ...], ...]


def table_rows(records: Records, frame: pd.DataFrame) -> TableRows:
    """A row a cell, accuracies in percent with their standard deviation over seeds.

    Args:
        records: what is compared.
        frame: its table, as `as_frame` makes it.
    """
    varied = list(dict.fromkeys(["norm.name", *records.varies]))
    columns: dict[str, list[str]] = {
        short_name(path, varied): [_value(row, path) for row in _rows(frame)] for path in varied
    }
    words = {short_name(path, varied) for path in varied if any(isinstance(row[path], str) for row in _rows(frame))}
    marked = next(iter(columns))
    columns[marked] = [
        f"{text}*" if row["other code"] else text for text, row in zip(columns[marked], _rows(frame), strict=True)
    ]
    if "letters" in frame:
        words.add("letters")
        columns["letters"] = list(frame["letters"])
    columns["n"] = [f"{row['n']}" for row in _rows(frame)]
    columns["validation accuracy, %"] = [_accuracy(row, "val/accuracy") for row in _rows(frame)]
    columns["test accuracy, %"] = [_accuracy(row, "test/accuracy") for row in _rows(frame)]
    if (frame["n"] > 1).any():
        columns["95 % of the mean"] = [_points(row["test/accuracy ci95"]) for row in _rows(frame)]
    columns["test errors"] = [f"{row['test/errors']:.{int(row['n'] > 1)}f}" for row in _rows(frame)]
    columns["test loss"] = [loss_text(row["test/loss"]) for row in _rows(frame)]
    columns["training, s"] = [f"{row['seconds']:.1f}" for row in _rows(frame)]
    if frame["parameters"].nunique() > 1:
        columns["parameters"] = [f"{row['parameters']:,}" for row in _rows(frame)]
    return TableRows(
        tuple(columns), tuple(name not in words for name in columns), tuple(zip(*columns.values(), strict=True))
    )


def table_notes(records: Records, frame: pd.DataFrame) -> list[str]:
    """What must be known to read the table rightly, in whole sentences."""
    found = [SELECTION_RULE, *notes(records, frame)]
    return [f"{words[:1].upper()}{words[1:]}" + ("" if words.endswith(".") else ".") for words in found]


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.astype(object).to_dict("records")]


def _value(row: Mapping[str, Any], path: str) -> str:
    return "-" if pd.isna(row[path]) else format_value(row[path])


def _accuracy(row: Mapping[str, Any], metric: str) -> str:
    sd = row[f"{metric} sd"]
    return f"{100 * row[metric]:.2f}" + ("" if pd.isna(sd) else f" ± {100 * sd:.2f}")


def _points(half_width: float | None) -> str:
    return "" if half_width is None or pd.isna(half_width) else f"± {100 * half_width:.2f}"
