"""Makes the table of a comparison, with one row per cell, as numbers and as text for a terminal, page or paper."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import pandas as pd

from src.results.environments import environment_differences
from src.results.results import Results
from src.runs.identity import code_digest
from src.runs.naming import format_value, short_name
from src.verdict.statistics import Summary, accuracy_half_width, rounding_sd, summarise

SELECTION_RULE = "Networks are tested once, after the last epoch; choose settings by validation accuracy."


@dataclass(frozen=True)
class Column:
    """A column of the comparison table, as text."""

    heading: str
    texts: Sequence[str]  # one text per cell
    short: str = ""  # heading in a terminal, with line breaks; empty if it equals `heading`
    optional: int = 0  # rank in a narrow terminal: 2 is dropped first, then 1, and 0 is never dropped
    numeric: bool = True
    wraps: bool = False  # whether a terminal may break the text between words

    @property
    def short_heading(self) -> str:
        """The heading in a terminal."""
        return self.short or self.heading


def table_frame(results: Results, letters: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The table as numbers: means over seeds, accuracies from 0 to 1, and no spread for cells with one seed.

    `sd` is the standard deviation over seeds, `ci95` the half-width of the t interval of the mean, `seconds` the time
    of training only.  `other code` counts runs of a different version of the code, `other environment` runs in a
    different environment than most runs.  Cells that share a letter in `letters` do not differ significantly.
    """
    runs = results.runs
    first_runs, cells = runs.drop_duplicates("cell"), runs.groupby("cell", sort=False)

    def summaries(metric: str, least_sds: Iterable[float] = repeat(0.0)) -> list[Summary]:
        return list(map(summarise, cells[metric].agg(list), least_sds))

    def count_runs(condition: "pd.Series[bool]") -> list[int]:
        return [int(count) for count in condition.groupby(runs["cell"], sort=False).sum()]

    val = summaries("val/accuracy")
    test = summaries("test/accuracy", [rounding_sd(results.sources[data]["test"], 1) for data in first_runs["dataset"]])
    frame: pd.DataFrame = pd.DataFrame(
        {
            "cell": first_runs["cell"].tolist(),
            **{path: first_runs[path].tolist() for path in ["norm.name", *results.varies]},
            "n": [cell.n for cell in test],
            "val/accuracy": [cell.mean for cell in val],
            "val/accuracy sd": [cell.sd for cell in val],
            "test/accuracy": [cell.mean for cell in test],
            "test/accuracy sd": [cell.sd for cell in test],
            "test/accuracy ci95": [cell.half_width for cell in test],
            **{name: [cell.mean for cell in summaries(name)] for name in ("test/loss", "test/errors")},
            "parameters": first_runs["parameters"].tolist(),
            "seconds": [cell.mean for cell in summaries("seconds/train")],
            "other code": count_runs(runs["code"] != code_digest()),
            "other environment": count_runs(runs["run"].isin(environment_differences(results)[0])),
        }
    )
    if letters:
        frame["letters"] = [letters.get(cell, "") for cell in frame["cell"]]
    return frame


def csv_content(frame: pd.DataFrame) -> bytes:
    """The table as CSV.  Missing numbers are empty."""
    return bytes(frame.to_csv(index=False, lineterminator="\n").encode())


def json_content(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of the table for JSON.  Missing numbers are null."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]


def curves_csv(epochs: pd.DataFrame) -> bytes:
    """The metrics of all epochs as CSV: `cell`, `seed`, `epoch`, `metric` and `value` (accuracies from 0 to 1)."""
    keys = ["cell", "seed", "epoch"]
    metrics = [name for name in epochs if name not in ("run", *keys)]
    curves = epochs.set_index(keys)[metrics].rename_axis("metric", axis=1).stack().rename("value")
    return bytes(curves.reset_index().to_csv(index=False, lineterminator="\n").encode())


def table_notes(results: Results, frame: pd.DataFrame) -> list[str]:
    """The sentences that explain how to read the table.  The first sentence says how to choose settings."""
    lines = [SELECTION_RULE]
    total = frame["n"].sum()
    if "letters" in frame:
        dataset_note = ".  Cells on different datasets are not compared" if len(results.sources) > 1 else ""
        lines.append(f"Cells that share a letter do not differ significantly{dataset_note}.")
    if frame["parameters"].nunique() == 1:
        lines.append(f"Each network has {frame['parameters'].iloc[0]:,} parameters.")
    if (frame["n"] > 1).any():
        lines.append("± is the standard deviation over seeds.  95 % CI is the t interval of the mean over seeds.")
    if (frame["n"] == 1).any():
        width, images = _widest_interval(results)
        lines.append(
            f"One seed (n = 1) cannot rank methods.  With {images:,} test images, the accuracy of a single run has a "
            f"95 % interval of up to ±{100 * width:.2f} points (Wilson).  Do not compare rows by this interval, "
            "because all rows share the test images."
        )
    if count := frame["other code"].sum():
        lines.append(f"* {count} of {total} runs used a different version of the code than the current one.")
    if count := frame["other environment"].sum():
        _, differences = environment_differences(results)
        lines.append(f"† {count} of {total} runs used a different environment from most runs: {differences}.")
    return lines


def _widest_interval(results: Results) -> tuple[float, int]:
    """The largest half-width of the interval of a single run's accuracy (0 to 1), and the number of test images."""
    runs = results.runs
    single = runs[runs.groupby("cell")["run"].transform("size") == 1]
    images = [int(results.sources[digest]["test"]) for digest in single["dataset"]]
    return max((accuracy_half_width(*run), run[1]) for run in zip(single["test/accuracy"], images, strict=True))


def table_columns(results: Results, frame: pd.DataFrame) -> list[Column]:
    """All columns of the table as text."""
    return [*setting_columns(results, frame), *number_columns(frame)]


def setting_columns(results: Results, frame: pd.DataFrame) -> list[Column]:
    """A column for each key that differs between cells.  The first column marks other code (*) and environments (†)."""
    varied_keys = list(dict.fromkeys(["norm.name", *results.varies]))
    return [
        Column(
            short_name(path, varied_keys),
            _value_texts(frame, path, marked=position == 0),
            numeric=not any(isinstance(value, str) for value in frame[path]),
        )
        for position, path in enumerate(varied_keys)
    ]


def cell_column(frame: pd.DataFrame) -> Column:
    """A column with the full name of each cell, for narrow terminals."""
    return Column("cell", _value_texts(frame, "cell", marked=True), numeric=False, wraps=True)


def number_columns(frame: pd.DataFrame) -> list[Column]:
    """The columns of letters, seeds, accuracies, errors and costs; columns without information are left out."""
    errors = [f"{value:.{int(n > 1)}f}" for value, n in zip(frame["test/errors"], frame["n"], strict=True)]
    # The loss of a run that almost diverged can have very many digits, so it gets an exponent.
    losses = [f"{loss:.4f}" if loss < 1000 else f"{loss:.1e}" for loss in frame["test/loss"]]
    intervals = ["" if pd.isna(width) else f"± {100 * width:.2f}" for width in frame["test/accuracy ci95"]]
    columns = [
        Column("n", [str(n) for n in frame["n"]]),
        Column("validation accuracy, %", _accuracy_texts(frame, "val/accuracy"), "validation\naccuracy %"),
        Column("test accuracy, %", _accuracy_texts(frame, "test/accuracy"), "test\naccuracy %"),
        Column("95 % CI", intervals, optional=1),
        Column("test errors", errors, "test\nerrors", optional=1),
        Column("test loss", losses, "test\nloss", optional=2),
        Column("training time, s", [f"{value:.1f}" for value in frame["seconds"]], "training\nseconds", optional=2),
        Column("parameters", [f"{value:,}" for value in frame["parameters"]], "para-\nmeters", optional=2),
    ]
    if "letters" in frame:
        columns.insert(0, Column("letters", frame["letters"].tolist(), " ", numeric=False))
    unused_headings = set() if (frame["n"] > 1).any() else {"95 % CI"}
    unused_headings |= {"parameters"} if frame["parameters"].nunique() == 1 else set()
    return [column for column in columns if column.heading not in unused_headings]


def _value_texts(frame: pd.DataFrame, path: str, *, marked: bool) -> list[str]:
    texts = ["-" if pd.isna(value) else format_value(value) for value in frame[path].astype(object)]
    if not marked:
        return texts
    marks = zip(texts, frame["other code"], frame["other environment"], strict=True)
    return [text + ("*" if code else "") + ("†" if environment else "") for text, code, environment in marks]


def _accuracy_texts(frame: pd.DataFrame, metric: str) -> list[str]:
    sds = ["" if pd.isna(sd) else f" ± {100 * sd:.2f}" for sd in frame[f"{metric} sd"]]
    return [f"{100 * mean:.2f}{sd}" for mean, sd in zip(frame[metric], sds, strict=True)]
