"""Compares runs that normlab did not train: prints the answer and a table, and writes a report."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from src.figures.figures import draw_differences
from src.report.facts import MAX_VALUES, Facts
from src.report.output import write_files
from src.report.report import Report, report_files
from src.report.statements import basis_sentences
from src.report.table import Column, count_columns, value_column
from src.report.terminal import print_columns, print_lines
from src.results.results import Results
from src.results.statistics import Summary, rounding_sd, summarise
from src.runs.external import ExternalRuns
from src.runs.naming import format_value, short_name
from src.runs.sweep import REPORT
from src.verdict.external import judge_external
from src.verdict.methods import Promise
from src.verdict.points import Measure
from src.verdict.verdicts import Verdicts
from src.verdict.words import NextStep
from src.wording import counted, joined, shorten

NO_JOBS = Results(pd.DataFrame(), pd.DataFrame(), (), {}, {}, ())  # external runs have no job folders
OTHER_COLUMNS = {"cell", "n", "failed", "mean", "sd", "ci95", "may be best", "behind the best"}


@dataclass(frozen=True)
class ExternalReport(Report):
    """The report of external runs, which have neither curves nor predictions."""

    external: ExternalRuns
    command: str

    @property
    def title(self) -> str:
        """The metric and where it comes from."""
        return f"{self.external.metric} of {self.external.source}"

    @property
    def columns(self) -> list[Column]:
        """The columns of the table, which has one row per cell."""
        return [*setting_columns(self.external, self.frame), *number_columns(self.verdicts.measure, self.frame)]

    @property
    def notes(self) -> list[str]:
        """The sentences that explain how to read the table."""
        best = "A cell may be the best if no other is better; it is at most as far behind the best as shown."
        failed = "Failed runs, which have no value, are counted and left out of the other columns."
        direction = f"A lower {self.external.metric} is better." if self.external.lower_is_better else ""
        lines = [direction, best if self.verdicts.best else "", "± is the standard deviation over n seeds."]
        return [line for line in [*lines, failed if "failed" in self.frame else ""] if line]

    @property
    def basis(self) -> list[str]:
        """The sentences that explain how the statements were made."""
        look, margin = self.verdicts.promise.look, self.verdicts.promise.equal_within
        return [
            *basis_sentences(self.verdicts),
            "No cell is chosen, because normlab knows no validation accuracy, and the best of several test results is "
            "too good by chance.",
            *([] if margin else ["No levels count as equal, because --equal gives no margin."]),
            f"normlab does not record comparisons of such runs; the command says that this is look {look}.",
            f"The runs may differ in more than {joined(self.external.factors)}; normlab knows only the values that it "
            "read.",
        ]

    @property
    def next_step(self) -> NextStep:
        """The number of seeds that would answer the open questions, and how to compare again."""
        return NextStep(" ".join(external_steps(self.verdicts)))

    @property
    def facts(self) -> Facts:
        """The factors with their values, the source of the runs, and the command."""
        factors, rows = self.external.factors, self.external.levels
        values = {
            name: dict.fromkeys(format_value(levels[k]) for levels in rows if levels[k] is not None)
            for k, name in enumerate(factors)
        }
        varies = tuple((name, ", ".join(shorten(texts, MAX_VALUES))) for name, texts in values.items())
        source = (self.external.source, f"{counted(len(rows), 'run')}, distinguished by {self.external.by}")
        return Facts((), varies, (source,), (), (self.command,))

    def as_json(self) -> dict[str, Any]:
        """All numbers as a JSON object.  If lower is better, differences have the opposite sign of the metric's."""
        source = {"source": self.external.source, "metric": self.external.metric, "by": self.external.by}
        return {**source, **super().as_json()}


def compare_external(
    external: ExternalRuns, promise: Promise, folder: Path, console: Console, command: str
) -> ExternalReport:
    """Write the report of external runs into `folder`, print the comparison, and return the report."""
    verdicts = judge_external(external, promise)
    frame, figures = external_frame(external, verdicts), draw_differences(verdicts)
    report = ExternalReport(
        sweeps=(),
        results=NO_JOBS,
        frame=frame,
        atlases=(),
        verdicts=verdicts,
        figures=figures,
        galleries=(),
        augmented={},
        external=external,
        command=command,
    )
    print_lines(console, [*report.answer, ""])
    settings, numbers = setting_columns(external, frame), number_columns(verdicts.measure, frame)
    print_columns(settings, Column("cell", list(frame["cell"]), numeric=False, wraps=True), numbers, console)
    sentences = [f"Left out: {sentence}." for sentence in verdicts.left_out]
    print_lines(console, ["", *sentences, *external_steps(verdicts)])
    write_files(folder, report_files(report))
    print_lines(console, [f"Details: {folder / REPORT}"], wrap=False)
    return report


def external_steps(verdicts: Verdicts) -> list[str]:
    """What to train next, if a question is open.  The user counts the looks, because normlab does not record them."""
    advice = verdicts.advice
    if advice is None:
        return []
    if advice.hopeless:
        return [f"{advice.reason}."]
    again = f"Then add --look {verdicts.promise.look + 1} to this command."
    return [f"{advice.reason}{advice.note}.", again]


def external_frame(external: ExternalRuns, verdicts: Verdicts) -> pd.DataFrame:
    """The table as numbers: a row per cell with the mean of the metric, its spread and the number of failed runs.

    `ci95` is the half-width of the t interval of this mean alone.  `may be best` and `behind the best` (at most) are
    those of `Best`; a cell with fewer than two runs has none.
    """
    levels = dict(zip(external.cells, external.levels, strict=True))
    values: dict[str, list[float]] = {cell: [] for cell in levels}
    for cell, run in zip(external.cells, external.runs, strict=True):
        values[cell] += [] if math.isnan(run.value) else [run.value]
    spread = rounding_sd(verdicts.tables[0].images, 1)
    summaries = [summarise(found, spread) if found else Summary(0, math.nan, None, None) for found in values.values()]
    columns: dict[str, list[Any]] = {"cell": list(levels)}
    columns |= {_heading(factor): [cell[k] for cell in levels.values()] for k, factor in enumerate(external.factors)}
    columns["n"] = [summary.n for summary in summaries]
    if verdicts.failed_run_count:
        run_counts = Counter(external.cells)
        columns["failed"] = [run_counts[cell] - len(values[cell]) for cell in levels]
    columns["mean"] = [summary.mean for summary in summaries]
    columns["sd"] = [summary.sd for summary in summaries]
    columns["ci95"] = [summary.half_width for summary in summaries]
    for best in verdicts.best:
        columns["may be best"] = [cell in best.candidates if cell in best.behind else None for cell in levels]
        columns["behind the best"] = [best.behind.get(cell) for cell in levels]
    frame: pd.DataFrame = pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in columns.items()})
    return frame


def _heading(factor: str) -> str:
    """The name of a factor's column, which differs from the names of the other columns."""
    return f"setting {factor}" if factor in OTHER_COLUMNS else factor


def setting_columns(external: ExternalRuns, frame: pd.DataFrame) -> list[Column]:
    """A column for each factor."""
    factors = external.factors
    return [value_column(frame, _heading(factor), short_name(factor, factors)) for factor in factors]


def number_columns(measure: Measure, frame: pd.DataFrame) -> list[Column]:
    """The columns of the best, seeds, failures and the metric; columns without information are left out."""
    sizes = list(frame.get("behind the best", []))
    behind_texts = ["" if size is None else f"≤ {measure.number_text(size)}" for size in sizes]
    means = [_mean_text(mean, sd, measure) for mean, sd in zip(frame["mean"], frame["sd"], strict=True)]
    columns = [
        *count_columns(frame),
        Column(f"{measure.name}, %" if measure.in_points else measure.name, means),
        Column(f"behind the best{',' * measure.in_points}{measure.unit}", behind_texts, "behind\nbest", drop_rank=1),
    ]
    return [column for column in columns if any(column.texts)]


def _mean_text(mean: float, sd: float | None, measure: Measure) -> str:
    if math.isnan(mean):
        return "-"
    if measure.in_points:
        return f"{100 * mean:.2f}" + ("" if sd is None else f" ± {100 * sd:.2f}")
    return f"{mean:.4g}" + ("" if sd is None else f" ± {sd:.2g}")
