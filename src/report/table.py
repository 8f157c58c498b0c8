"""Makes the table of a comparison, with one row per cell, as numbers and as text for a terminal, page or paper."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import pandas as pd

from src.results.environments import environment_differences
from src.results.results import Results
from src.results.statistics import rounding_sd, summarise
from src.runs.identity import code_digest
from src.runs.naming import format_value, job_name, short_name
from src.verdict.points import points_text
from src.verdict.verdicts import Verdicts

SELECTION_RULE = "Networks are tested once, after the last epoch; choose settings by validation accuracy."


@dataclass(frozen=True)
class Column:
    """A column of the comparison table, as text."""

    heading: str
    texts: Sequence[str]  # one text per cell
    short: str = ""  # heading in a terminal, with line breaks; empty if it equals `heading`
    drop_rank: int = 0  # rank in a narrow terminal: 2 is dropped first, then 1, and 0 is never dropped
    numeric: bool = True
    wraps: bool = False  # whether a terminal may break the text between words

    @property
    def short_heading(self) -> str:
        """The heading in a terminal."""
        return self.short or self.heading


def table_frame(results: Results, verdicts: Verdicts) -> pd.DataFrame:
    """The table as numbers: means over the seeds that trained, accuracies from 0 to 1, no spread for one seed.

    `sd` is the standard deviation over seeds, `ci95` the half-width of the t interval of this mean alone, `seconds` the
    time of training only.  `failed` counts runs that failed or learned nothing, `other code` runs of a different
    version of the code, `other environment` runs in a different environment than most runs.  With several seeds,
    `may be best` and `behind the best` (at most, from 0 to 1) are those of `Best`; a cell with one seed has none.
    """
    failed = pd.DataFrame(
        [{**job, "cell": job_name(job, results.varies, seed=False)} for job in results.failed], dtype=object
    )
    settings = pd.concat([results.runs, failed], ignore_index=True).drop_duplicates("cell").set_index("cell")
    trained = results.runs["run"].isin(verdicts.learned_runs)
    cells, runs = settings.index, results.runs[trained]
    failure_counts = Counter([*results.runs["cell"][~trained], *failed.get("cell", [])])
    groups = runs.groupby("cell", sort=False)
    test_image_counts = groups["dataset"].first().map(lambda digest: results.sources[digest]["test"])
    rounding_sds = {"test/accuracy": [rounding_sd(n, 1) for n in test_image_counts]}

    def summaries(metric: str) -> pd.DataFrame:
        values = map(summarise, groups[metric].agg(list), rounding_sds.get(metric, repeat(0.0)))
        frame: pd.DataFrame = pd.DataFrame(list(values), index=test_image_counts.index).reindex(cells)
        return frame

    def count_runs(condition: "pd.Series[bool]") -> "pd.Series[int]":
        return condition[trained].groupby(runs["cell"]).sum().reindex(cells, fill_value=0)

    val, test = summaries("val/accuracy"), summaries("test/accuracy")
    columns: dict[str, Any] = {path: settings[path] for path in dict.fromkeys(["norm.name", *results.varies])}
    columns |= {"n": test["n"].fillna(0).astype(int), "val/accuracy": val["mean"], "val/accuracy sd": val["sd"]}
    columns |= {"test/accuracy": test["mean"], "test/accuracy sd": test["sd"], "test/accuracy ci95": test["half_width"]}
    columns |= {name: summaries(name)["mean"] for name in ("test/loss", "test/errors")}
    columns |= {
        "parameters": groups["parameters"].first().astype("Int64").reindex(cells),
        "seconds": summaries("seconds/train")["mean"],
    }
    columns["other code"] = count_runs(results.runs["code"] != code_digest())
    columns["other environment"] = count_runs(results.runs["run"].isin(environment_differences(results)[0]))
    if failure_counts:
        columns["failed"] = cells.map(failure_counts.__getitem__)
    if verdicts.best:
        behind = {cell: size for best in verdicts.best for cell, size in best.behind.items()}
        candidates = {cell for best in verdicts.best for cell in best.candidates}
        columns["may be best"] = [cell in candidates if cell in behind else None for cell in cells]
        columns["behind the best"] = [behind.get(cell) for cell in cells]
    frame: pd.DataFrame = pd.DataFrame(columns, index=cells).reset_index()
    return frame


def column_rows(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    """The rows of columns as text."""
    return list(zip(*(column.texts for column in columns), strict=True))


def csv_content(frame: pd.DataFrame) -> bytes:
    """A table as CSV.  Missing numbers are empty."""
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
    return csv_content(curves.reset_index())


def table_notes(results: Results, frame: pd.DataFrame) -> list[str]:
    """The sentences that explain how to read the table.  The first sentence says how to choose settings."""
    lines = [SELECTION_RULE]
    if "may be best" in frame:
        lines.append("A cell may be the best if no other cell beats it.  The points behind the best are upper limits.")
    if frame["parameters"].nunique() == 1:
        lines.append(f"Each network has {frame['parameters'].max():,} parameters.")
    elif frame["parameters"].nunique() > 1:
        smallest, largest = frame["parameters"].min(), frame["parameters"].max()
        lines.append(f"The networks differ in size: they have {smallest:,} to {largest:,} parameters.")
    if (frame["n"] > 1).any():
        lines.append("± is the standard deviation over n seeds.")
    if "reg.sam" in results.runs and (results.runs["reg.sam"] > 0).any():
        lines.append("Runs with reg.sam need two passes per step: compare them at equal training time, too.")
    if "failed" in frame:
        lines.append("Failed runs, and runs that learned nothing, are counted and left out of the other columns.")
    return [*lines, *mark_notes(results, frame)]


def mark_notes(results: Results, frame: pd.DataFrame) -> list[str]:
    """The sentences that explain the marks * and †; empty without marks."""
    lines, run_count = [], frame["n"].sum()
    if count := frame["other code"].sum():
        lines.append(f"* {count} of {run_count} runs used a different version of the code than the current one.")
    if count := frame["other environment"].sum():
        _, differences = environment_differences(results)
        lines.append(f"† {count} of {run_count} runs used a different environment from most runs: {differences}.")
    return lines


def table_columns(results: Results, frame: pd.DataFrame) -> list[Column]:
    """All columns of the table as text."""
    return [*setting_columns(results, frame), *number_columns(frame)]


def setting_columns(results: Results, frame: pd.DataFrame) -> list[Column]:
    """A column for each key that differs between cells.  The first column marks other code (*) and environments (†)."""
    varied_keys = list(dict.fromkeys(["norm.name", *results.varies]))
    return [value_column(frame, path, short_name(path, varied_keys), path == varied_keys[0]) for path in varied_keys]


def value_column(frame: pd.DataFrame, path: str, name: str, marked: bool = False) -> Column:
    """A column with the values of a key; `marked` adds the marks for other code and environments."""
    numeric = not any(isinstance(value, str) for value in frame[path])
    return Column(name, _value_texts(frame, path, marked=marked), numeric=numeric)


def cell_column(frame: pd.DataFrame) -> Column:
    """A column with the full name of each cell, for narrow terminals."""
    return Column("cell", _value_texts(frame, "cell", marked=True), numeric=False, wraps=True)


def number_columns(frame: pd.DataFrame) -> list[Column]:
    """The columns of the best, seeds, accuracies, errors and costs; columns without information are left out."""
    behind_texts = [f"≤ {points_text(size)}" if size < 1 else "" for size in frame.get("behind the best", [])]
    decimals = int(frame["n"].max() > 1)
    # The loss of a run that almost diverged can have very many digits, so it gets an exponent.
    loss_texts = [
        "-" if pd.isna(loss) else format(loss, ".1e" if loss >= 1000 else ".4f") for loss in frame["test/loss"]
    ]
    columns = [
        *count_columns(frame),
        Column("validation accuracy, %", _accuracy_texts(frame, "val/accuracy"), "validation\naccuracy %"),
        Column("test accuracy, %", _accuracy_texts(frame, "test/accuracy"), "test\naccuracy %"),
        Column("behind the best, points", behind_texts, "behind\nbest", drop_rank=1),
        Column("test errors", _number_texts(frame["test/errors"], f".{decimals}f"), "test\nerrors", drop_rank=1),
        Column("parameters", _number_texts(frame["parameters"], ","), "para-\nmeters", drop_rank=2),
        Column("test loss", loss_texts, "test\nloss", drop_rank=2),
        Column("training time, s", _number_texts(frame["seconds"], ".1f"), "training\nseconds", drop_rank=2),
    ]
    unused_headings = {"parameters"} if frame["parameters"].nunique() == 1 else set()
    return [column for column in columns if column.heading not in unused_headings and any(column.texts)]


def count_columns(frame: pd.DataFrame) -> list[Column]:
    """The columns of the best, the seeds and the failed runs; a column that `frame` lacks has no texts."""
    best_texts = ["" if pd.isna(may_be) else "yes" if may_be else "no" for may_be in frame.get("may be best", [])]
    return [
        Column("may be best", best_texts, "may be\nbest", numeric=False),
        Column("n", [str(n) for n in frame["n"]]),
        Column("failed", [str(n) for n in frame.get("failed", [])]),
    ]


def _number_texts(values: "pd.Series[Any]", format_spec: str) -> list[str]:
    return ["-" if pd.isna(value) else format(value, format_spec) for value in values]


def _value_texts(frame: pd.DataFrame, path: str, *, marked: bool) -> list[str]:
    texts = ["-" if pd.isna(value) else format_value(value) for value in frame[path].astype(object)]
    if not marked:
        return texts
    marks = zip(texts, frame["other code"], frame["other environment"], strict=True)
    return [text + ("*" if code else "") + ("†" if environment else "") for text, code, environment in marks]


def _accuracy_texts(frame: pd.DataFrame, metric: str) -> list[str]:
    sd_texts = ["" if pd.isna(sd) else f" ± {100 * sd:.2f}" for sd in frame[f"{metric} sd"]]
    return [text + sd for text, sd in zip(_number_texts(100 * frame[metric], ".2f"), sd_texts, strict=True)]
