"""Reads runs of other programs from a CSV file with one row per run."""

import csv
import difflib
import io
from collections.abc import Sequence
from pathlib import Path

from src.bad_input import BadInput
from src.runs.external import MISSING, ExternalRun, clean_text, make_run, number_in
from src.storage.stored import DamagedFile, read_stored

DELIMITERS = ",;\t"


def read_csv_runs(path: Path, metric: str, by: str) -> list[ExternalRun]:
    """Return the runs in a CSV file.  The column `metric` holds the result, `by` the seed, and all others settings.

    A run without a metric (empty, NaN or infinite) has failed.  The delimiter is a comma, a semicolon or a tab.  Raises
    BadInput if the file cannot be read, lacks a column, or has a row with a mistake.
    """
    text = _read_text(path)
    first_line = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [clean_text(name) for name in next(reader, [])]
        _check_header(path, header, {"--metric": clean_text(metric), "--by": clean_text(by)})
        runs = [_read_run(path, header, row, reader.line_num, metric, by) for row in reader if any(row)]
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num}: {error}", "a CSV file with one row per run") from error
    if not runs:
        raise BadInput(f"{path} has no row below its column names", "one row per run")
    return runs


def _read_text(path: Path) -> str:
    try:
        return read_stored(path).decode("utf-8-sig")  # Excel begins a file with a byte order mark
    except FileNotFoundError as error:
        raise BadInput(f"there is no file {path}", "a CSV file with one row per run") from error
    except DamagedFile as error:
        raise BadInput(str(error), "a CSV file with one row per run") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text (byte {error.start:,})", "a CSV file in UTF-8") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error


def _check_header(path: Path, header: Sequence[str], needed: dict[str, str]) -> None:
    repeated = [name for name in header if header.count(name) > 1]
    if repeated:
        raise BadInput(f"{path} has two columns named {repeated[0] or '(empty)'}", "a different name for each column")
    for option, name in needed.items():
        if name not in header:
            close = difflib.get_close_matches(name, header, 1, 0.4) or header[:1] or ["NAME"]
            raise BadInput(f"{path} has no column {name}", ", ".join(header) or "column names", f"{option} {close[0]}")


def _read_run(path: Path, header: Sequence[str], row: Sequence[str], line: int, metric: str, by: str) -> ExternalRun:
    name = f"line {line}"
    if len(row) != len(header):
        problem = f"{path}, {name}: {len(row)} fields, but {len(header)} column names"
        raise BadInput(problem, "one field per column; a comma inside a field needs quotes")
    fields = dict(zip(header, map(clean_text, row), strict=True))
    metric_text, seed = fields.pop(clean_text(metric)), fields.pop(clean_text(by))
    value = float("nan") if metric_text.lower() in MISSING else number_in(metric_text)
    if value is None:  # such as 98,5 or 98.5 %
        raise BadInput(
            f"{path}, {name}: {metric} is {metric_text}", "a number such as 0.98, or nothing for a failed run"
        )
    if seed.lower() in MISSING:
        raise BadInput(f"{path}, {name}: {by} is empty", "the seed of the run")
    return make_run(name, value, seed, fields)
