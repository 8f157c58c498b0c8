"""The comparison as a table: one row a cell, accuracies on the validation and the test split, with their spread."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.comparison.records import Cell, Records
from src.comparison.statistics import accuracy_half_width, summarise
from src.runs.identity import format_value

SELECTION_RULE = "test: once, after the last epoch; choices belong to validation"


def as_frame(records: Records) -> pd.DataFrame:
    """One row a cell, in the order of the cells; accuracies from 0 to 1, what one seed cannot tell is missing.

    Columns: `cell`, `norm.name` and what else varies, `n`, `val/accuracy` and `test/accuracy` (means over seeds, each
    with its `sd`; `ci95` is the half-width of the t interval of the mean), `test/loss`, `test/errors`, `parameters`,
    `seconds` (training alone, mean) and `other code` (jobs trained by other code than stands here now).
    """
    varies = dict.fromkeys(["norm.name", *records.varies])
    other = set(records.other_code)
    frame: pd.DataFrame = pd.DataFrame([_row(cell, list(varies), other) for cell in records.cells])
    return frame


def _row(cell: Cell, varies: list[str], other_code: set[str]) -> dict[str, Any]:
    val, test = summarise(cell.values("val/accuracy")), summarise(cell.values("test/accuracy"))
    return {
        "cell": cell.label,
        **{path: cell.leaves.get(path) for path in varies},
        "n": test.n,
        "val/accuracy": val.mean,
        "val/accuracy sd": val.sd,
        "test/accuracy": test.mean,
        "test/accuracy sd": test.sd,
        "test/accuracy ci95": test.half_width,
        "test/loss": summarise(cell.values("test/loss")).mean,
        "test/errors": summarise(cell.values("test/errors")).mean,
        "parameters": int(cell.jobs[0].start["parameters"]),
        "seconds": summarise([float(job.result["seconds"]["train"]) for job in cell.jobs]).mean,
        "other code": sum(cell.name(job) in other_code for job in cell.jobs),
    }


def csv_content(frame: pd.DataFrame) -> bytes:
    """The table as CSV, missing numbers empty."""
    return bytes(frame.to_csv(index=False, lineterminator="\n").encode())


def json_content(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The table as rows that are JSON, missing numbers null."""
    return [
        {name: None if pd.isna(value) else _plain(value) for name, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


@dataclass(frozen=True)
class Column:
    """A printed column: its heading, what it says of a row, and whether it may go where the screen is narrow."""

    heading: str
    text: Callable[[Any], str]
    optional: bool = False
    numeric: bool = True


def print_table(records: Records, frame: pd.DataFrame, console: Console) -> None:
    """The table as wide as the console allows, with the rule by which its numbers were made, and what they can tell."""
    columns = _columns(records, frame)
    left_out: list[str] = []
    table = _table(frame, columns)
    for column in [column for column in reversed(columns) if column.optional]:
        if console.measure(table, options=console.options.update(width=1000)).maximum <= console.width:
            break
        columns.remove(column)
        left_out.insert(0, " ".join(column.heading.split()))
        table = _table(frame, columns)
    console.print(table)
    lines = [SELECTION_RULE, *notes(records, frame)]
    if left_out:
        lines.append(f"too narrow for: {', '.join(left_out)} (table.csv has them)")
    for line in lines:
        console.print(Text(line, style="dim"), soft_wrap=False)


def notes(records: Records, frame: pd.DataFrame) -> list[str]:
    """What a reader must know to read the numbers rightly, a sentence each."""
    found = []
    if frame["parameters"].nunique() == 1:
        found.append(f"{frame['parameters'].iloc[0]:,} parameters each")
    if (frame["n"] > 1).any():
        found.append("± standard deviation over seeds; 95 %: t interval of the mean over seeds")
    if (frame["n"] == 1).any():
        half_width, images = _chance(records)
        found.append(
            f"n = 1: the choice of the {images:,} test images alone makes an accuracy uncertain by "
            f"±{100 * half_width:.2f} points (95 %, Wilson), and another seed moves it too: "
            "a smaller difference between two rows says nothing yet"
        )
    if records.other_code:
        jobs = frame["n"].sum()
        found.append(f"* trained by other code than stands here now: {len(records.other_code)} of {jobs} runs")
    return found


def _chance(records: Records) -> tuple[float, int]:
    """The widest half-width of a single run's accuracy (0 to 1), and that run's number of test images."""
    single = [cell for cell in records.cells if len(cell.jobs) == 1]
    return max(
        (accuracy_half_width(cell.values("test/accuracy")[0], cell.source["test"]), int(cell.source["test"]))
        for cell in single
    )


def _columns(records: Records, frame: pd.DataFrame) -> list[Column]:
    varies = list(dict.fromkeys(["norm.name", *records.varies]))
    columns = [
        Column(_heading(path, varies), _value_of(path, mark=position == 0), numeric=path != "norm.name")
        for position, path in enumerate(varies)
    ]
    columns += [
        Column("n", lambda row: f"{row['n']}"),
        Column("validation\naccuracy %", lambda row: _accuracy(row, "val/accuracy")),
        Column("test\naccuracy %", lambda row: _accuracy(row, "test/accuracy")),
    ]
    if (frame["n"] > 1).any():
        columns.append(Column("95 %", lambda row: _points(row["test/accuracy ci95"])))
    columns += [
        Column("test\nerrors", lambda row: f"{row['test/errors']:.{int(row['n'] > 1)}f}"),
        Column("test\nloss", lambda row: _loss(row["test/loss"]), optional=True),
        Column("training\nseconds", lambda row: f"{row['seconds']:.1f}", optional=True),
    ]
    if frame["parameters"].nunique() > 1:
        columns.append(Column("para-\nmeters", lambda row: f"{row['parameters']:,}", optional=True))
    return columns


def _heading(path: str, among: list[str]) -> str:
    """A key's last part, or the whole key where another one ends alike; `norm` for `norm.name`."""
    if path.endswith(".name"):
        return path.removesuffix(".name")
    last = path.rpartition(".")[2]
    return last if [other.rpartition(".")[2] for other in among].count(last) == 1 else path


def _value_of(path: str, *, mark: bool) -> Callable[[Any], str]:
    def text(row: Any) -> str:
        value = row[path]
        shown = "-" if pd.isna(value) else format_value(value)
        return shown + "*" if mark and row["other code"] else shown

    return text


def _accuracy(row: Any, metric: str) -> str:
    sd = row[f"{metric} sd"]
    return f"{100 * row[metric]:.2f}" + ("" if pd.isna(sd) else f" ± {100 * sd:.2f}")


def _loss(loss: float) -> str:
    """Four decimals; a run that all but diverged may have a loss of any length."""
    return f"{loss:.4f}" if loss < 1000 else f"{loss:.1e}"


def _points(half_width: float | None) -> str:
    return "" if half_width is None or pd.isna(half_width) else f"± {100 * half_width:.2f}"


def _table(frame: pd.DataFrame, columns: list[Column]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(Text(column.heading), justify="right" if column.numeric else "left", no_wrap=True)
    for _, row in frame.iterrows():
        table.add_row(*(Text(column.text(row)) for column in columns))
    return table
