"""The comparison as a table: one row a cell, accuracies on the validation and the test split, with their spread."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.comparison.records import Cell, Records
from src.comparison.statistics import accuracy_half_width, summarise
from src.runs.identity import format_value, short_name

SELECTION_RULE = "test: once, after the last epoch; choices belong to validation"


def as_frame(records: Records, letters: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row a cell, in the order of the cells; accuracies from 0 to 1, what one seed cannot tell is missing.

    Columns: `cell`, `norm.name` and what else varies, `n`, `val/accuracy` and `test/accuracy` (means over seeds, each
    with its `sd`; `ci95` is the half-width of the t interval of the mean), `test/loss`, `test/errors`, `parameters`,
    `seconds` (training alone, mean), `other code` (jobs trained by other code than stands here now), and `letters`
    where they are given by cell: cells that share one cannot be told apart.
    """
    varies = dict.fromkeys(["norm.name", *records.varies])
    other = set(records.other_code)
    frame: pd.DataFrame = pd.DataFrame([_row(cell, list(varies), other) for cell in records.cells])
    if letters:
        frame["letters"] = [letters.get(cell.label, "") for cell in records.cells]
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
    """A printed column: its heading, what it says of a row, and how it gives way where the screen is narrow."""

    heading: str
    text: Callable[[Any], str]
    gives_way: int = 0  # 0 never, 1 where not even the short table fits, 2 at once
    numeric: bool = True
    wraps: bool = False  # between words; what is shown is never cut


def print_table(records: Records, frame: pd.DataFrame, console: Console) -> None:
    """The table as wide as the console allows, with the rule by which its numbers were made, and what they can tell."""
    numbers = _numbers(frame)
    columns = _fitting([*_varied(records), *numbers], 2, frame, console.width)
    if not _fits(columns, frame, console.width):
        # One column with the whole label can be wrapped; a column for each key could only be cut.
        short = [_label_column(), *(column for column in numbers if column.gives_way < 2)]
        columns = _fitting(short, 1, frame, console.width)
    console.print(_table(frame, columns, console.width), crop=False)
    left_out = [column.heading.replace("-\n", "").replace("\n", " ") for column in numbers if column not in columns]
    lines = [SELECTION_RULE, *notes(records, frame)]
    if left_out:
        lines.append(f"too narrow for: {', '.join(left_out)} (table.csv has them)")
    for line in lines:
        console.print(Text(line, style="dim"), soft_wrap=False)


def notes(records: Records, frame: pd.DataFrame) -> list[str]:
    """What a reader must know to read the numbers rightly, a sentence each."""
    found = ["cells that share a letter cannot be told apart"] if "letters" in frame else []
    if found and len({cell.source["digest"] for cell in records.cells}) > 1:
        found[0] += "; those of different datasets are not compared"
    if frame["parameters"].nunique() == 1:
        found.append(f"{frame['parameters'].iloc[0]:,} parameters each")
    if (frame["n"] > 1).any():
        found.append("± standard deviation over seeds; 95 %: t interval of the mean over seeds")
    if (frame["n"] == 1).any():
        half_width, images = _chance(records)
        found.append(
            f"n = 1: one seed does not rank methods; the choice of the {images:,} test images alone makes each single "
            f"accuracy uncertain by up to ±{100 * half_width:.2f} points (95 %, Wilson), and intervals of single "
            "accuracies do not compare rows, which are tested on the same images"
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


def _varied(records: Records) -> list[Column]:
    """A column for each key that tells the cells apart."""
    varies = list(dict.fromkeys(["norm.name", *records.varies]))
    return [
        Column(short_name(path, varies), _value_of(path, mark=position == 0), numeric=path != "norm.name")
        for position, path in enumerate(varies)
    ]


def _label_column() -> Column:
    """All that tells a cell apart, in one column."""
    return Column("cell", _value_of("cell", mark=True), numeric=False, wraps=True)


def _numbers(frame: pd.DataFrame) -> list[Column]:
    columns = [Column("", lambda row: str(row["letters"]), numeric=False)] if "letters" in frame else []
    columns += [
        Column("n", lambda row: f"{row['n']}"),
        Column("validation\naccuracy %", lambda row: _accuracy(row, "val/accuracy")),
        Column("test\naccuracy %", lambda row: _accuracy(row, "test/accuracy")),
    ]
    if (frame["n"] > 1).any():
        columns.append(Column("95 %", lambda row: _points(row["test/accuracy ci95"]), gives_way=1))
    columns += [
        Column("test\nerrors", lambda row: f"{row['test/errors']:.{int(row['n'] > 1)}f}", gives_way=1),
        Column("test\nloss", lambda row: loss_text(row["test/loss"]), gives_way=2),
        Column("training\nseconds", lambda row: f"{row['seconds']:.1f}", gives_way=2),
    ]
    if frame["parameters"].nunique() > 1:
        columns.append(Column("para-\nmeters", lambda row: f"{row['parameters']:,}", gives_way=2))
    return columns


def _fitting(columns: list[Column], rank: int, frame: pd.DataFrame, width: int) -> list[Column]:
    """The columns without as many of those of a rank, from the right, as must go to fit into so many characters."""
    columns = list(columns)
    for column in [column for column in reversed(columns) if column.gives_way == rank]:
        if _fits(columns, frame, width):
            break
        columns.remove(column)
    return columns


def _fits(columns: list[Column], frame: pd.DataFrame, width: int) -> bool:
    return _total(_widths(column, frame)[0] for column in columns) <= width


def _total(widths: Iterable[int]) -> int:
    """A table's width, two spaces between its columns."""
    widths = list(widths)
    return sum(widths) + 2 * (len(widths) - 1)


def _widths(column: Column, frame: pd.DataFrame) -> tuple[int, int]:
    """The characters that a column needs at least, and those in which nothing of it is wrapped."""
    lines = [*column.heading.split("\n"), *(column.text(row) for row in frame.to_dict("records"))]
    widest = max(map(cell_len, lines))
    words = [word for line in lines for word in line.split()]
    return max(map(cell_len, words)) if column.wraps else widest, widest


def _value_of(path: str, *, mark: bool) -> Callable[[Any], str]:
    def text(row: Any) -> str:
        value = row[path]
        shown = "-" if pd.isna(value) else format_value(value)
        return shown + "*" if mark and row["other code"] else shown

    return text


def _accuracy(row: Any, metric: str) -> str:
    sd = row[f"{metric} sd"]
    return f"{100 * row[metric]:.2f}" + ("" if pd.isna(sd) else f" ± {100 * sd:.2f}")


def loss_text(loss: float) -> str:
    """Four decimals; a run that all but diverged may have a loss of any length."""
    return f"{loss:.4f}" if loss < 1000 else f"{loss:.1e}"


def _points(half_width: float | None) -> str:
    return "" if half_width is None or pd.isna(half_width) else f"± {100 * half_width:.2f}"


def _table(frame: pd.DataFrame, columns: list[Column], width: int) -> Table:
    """A table in which no value is cut, if need be wider than so many characters."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    sizes = [_widths(column, frame) for column in columns]
    least, most = _total(size[0] for size in sizes), _total(size[1] for size in sizes)
    table.width = min(most, max(least, width))
    for column in columns:
        table.add_column(Text(column.heading), justify="right" if column.numeric else "left", no_wrap=not column.wraps)
    for row in frame.to_dict("records"):
        table.add_row(*(Text(column.text(row)) for column in columns))
    return table
