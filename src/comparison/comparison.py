"""A comparison of finished runs: printed, written into a folder, and returned."""

import importlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from src.bad_input import BadInput
from src.comparison.output import write_all
from src.comparison.records import Records, load_records
from src.runs.folder import VERDICT, Sweep

if TYPE_CHECKING:
    import pandas as pd

    from src.comparison.per_image import PerImage
    from src.comparison.report import Report
    from src.comparison.verdicts import Verdicts

REPORT = "report.html"
PAIRS = 1_000  # that the JSON holds; of a thousand cells there are half a million
EFFECTS = 6  # lines that are printed
UNFINISHED = 10  # lines that are printed
SLOW = ("per_image", "table", "verdicts", "figures", "report", "galleries", "interactive")  # to import


@dataclass(frozen=True)
class Comparison:
    """What was compared; without a finished run, or where it stands already, there is no report."""

    records: Records
    report: "Report | None" = None
    groups: "Sequence[PerImage]" = ()

    def as_json(self) -> dict[str, Any]:
        """Everything printed, and more of it, as JSON."""
        from src.comparison.table import SELECTION_RULE, json_content, notes

        assert self.report is not None
        frame, verdicts = self.report.frame, self.report.verdicts
        return {
            "sweeps": [sweep.id for sweep in self.report.sweeps],
            "rule": SELECTION_RULE,
            "notes": notes(self.records, frame),
            "verdict": list(verdicts.opening),
            "cells": json_content(frame),
            "pairs": [_pair(pair) for pair in verdicts.pairs[:PAIRS]],
            "effects": [effect.words for effect in verdicts.effects],
            "more": verdicts.more,
            "left out": list(verdicts.left_out),
            "unfinished": [vars(job) for job in self.records.unfinished],
            "images": [group.as_json() for group in self.groups],
        }


def _pair(pair: Any) -> dict[str, Any]:
    names = ("first", "second", "difference", "low", "high", "p", "p_holm", "method", "n", "superiority", "decided")
    return {name: getattr(pair, name) for name in (*names, "wilcoxon", "bootstrap", "words")}


def compare(
    sweeps: Sequence[Sweep], multirun: Path, out: Path, console: Console, *, changed: bool = True
) -> Comparison:
    """Print the comparison of the finished jobs and write table, figures, galleries and report into `out`.

    Where nothing has `changed` since they were written, the files stay as they are, and no report is returned.

    Raises:
        BadInput: where `out` cannot be written.
    """
    records = load_records(sweeps, multirun)
    if not records.cells:
        _say_unfinished(records, sweeps, console)
        console.print("no run has finished yet: nothing to compare", highlight=False)
        return Comparison(records)
    # Slow to import, and needed from here on alone.
    from src.comparison.per_image import per_image
    from src.comparison.table import as_frame, print_table
    from src.comparison.verdicts import judge

    groups = per_image(records)
    verdicts = judge(sweeps, records, groups)
    frame = as_frame(records, verdicts.letters)
    print_table(records, frame, console)
    _say_verdict(verdicts, console)
    _say_unfinished(records, sweeps, console)
    for group in groups:
        _say_images(group, console, several=len(groups) > 1)
    if not changed and _newer(out / REPORT, records):
        _say_place(out, console)
        return Comparison(records)
    galleries = [_galleries(group, console, several=len(groups) > 1) for group in groups]
    report = _report(sweeps, records, frame, groups, verdicts, galleries)
    write_all(out, _files(report))
    _say_place(out, console)
    return Comparison(records, report, groups)


def warm_up() -> None:
    """Begin to import what a comparison needs, which takes 1.5 seconds, while others do something else."""

    def work() -> None:
        for name in SLOW:
            importlib.import_module(f"src.comparison.{name}")

    threading.Thread(target=work, name="imports", daemon=True).start()


def _newer(report: Path, records: Records) -> bool:
    """Whether a report is there and younger than all results: a command that was killed may not have come to it."""
    results = [job.folder.result_path for cell in records.cells for job in cell.jobs]
    return report.exists() and report.stat().st_mtime_ns > max(path.stat().st_mtime_ns for path in results)


def _report(
    sweeps: Sequence[Sweep],
    records: Records,
    frame: "pd.DataFrame",
    groups: "Sequence[PerImage]",
    verdicts: "Verdicts",
    galleries: Sequence[dict[str, bytes]],
) -> "Report":
    from src.comparison.figures import drawings
    from src.comparison.report import Report

    return Report(sweeps, records, frame, groups, verdicts, drawings(records, verdicts, groups), galleries)


def _files(report: "Report") -> dict[str, bytes]:
    """Everything that is written, by name; the report last, so that what it links is there."""
    from src.comparison.curves_csv import curves_csv
    from src.comparison.report import html, markdown
    from src.comparison.table import csv_content

    files = {"table.csv": csv_content(report.frame), "curves.csv": curves_csv(report.records.cells)}
    files |= {f"{name}.png": drawing.png for name, drawing in report.figures.items()}
    files |= {f"svg/{name}.svg": drawing.svg for name, drawing in report.figures.items()}
    for of_group in report.galleries:
        files |= {f"{name}.png": picture for name, picture in of_group.items()}
    files[VERDICT] = "".join(f"{sentence}\n" for sentence in report.verdicts.opening).encode()
    return files | {"report.md": markdown(report), REPORT: html(report)}


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _say_place(out: Path, console: Console) -> None:
    """The same whether the files are new or stood there: what a finished sweep prints is what it printed before."""
    _say(console, f"in {out}: {REPORT} and report.md, tables as CSV, figures and galleries")


def _say_verdict(verdicts: "Verdicts", console: Console) -> None:
    from src.comparison.points import counted
    from src.comparison.statistics import ALPHA  # imports scipy

    console.print()
    for sentence in verdicts.opening:
        console.print(sentence, highlight=False, markup=False)
    decided_first = sorted(verdicts.effects, key=lambda effect: (effect.p_holm is None, (effect.p_holm or 0) >= ALPHA))
    for effect in decided_first[:EFFECTS]:
        console.print(f"  {effect.words}", highlight=False, markup=False)
    if len(verdicts.effects) > EFFECTS:
        _say(console, f"  and {counted(len(verdicts.effects) - EFFECTS, 'more effect')}, in the report")
    for sentence in verdicts.left_out:
        _say(console, sentence)
    if verdicts.more:
        _say(console, "More seeds would tell more; choose how many, then stop:")
        for line in verdicts.more.splitlines():
            _say(console, f"  {line}")


def _say_unfinished(records: Records, sweeps: Sequence[Sweep], console: Console) -> None:
    for job in records.unfinished[:UNFINISHED]:
        _say(console, f"not finished: {job.label}: {' '.join(job.reason.split())}")
    if len(records.unfinished) > UNFINISHED:
        _say(console, f"and {len(records.unfinished) - UNFINISHED:,} more are not finished")
    if records.unfinished:
        _say(console, "the same command again trains what is missing, and that alone:")
        for command in dict.fromkeys(sweep.command for sweep in sweeps):
            _say(console, f"  {command}")


def _say_images(group: "PerImage", console: Console, *, several: bool) -> None:
    """Tell of one dataset's images."""
    console.print()
    if several:
        console.print(f"{group.data.name}, {group.source['digest'][:8]}:", highlight=False, markup=False)
    for line in group.sentences():
        console.print(line, highlight=False, markup=False)


def _galleries(group: "PerImage", console: Console, *, several: bool) -> dict[str, bytes]:
    """One dataset's galleries as PNG by file name without ending."""
    from src.comparison.galleries import picture_png

    if len(group.runs) < 2:
        return {}  # a single run's own mistakes stand in its folder
    try:
        galleries = group.galleries()
    except BadInput as missing:
        console.print(f"no galleries: {str(missing).splitlines()[0]}", highlight=False, markup=False)
        return {}
    suffix = f"-{group.data.name}-{group.source['digest'][:8]}" if several else ""
    return {f"{name}{suffix}": picture_png(picture) for name, picture in galleries.items()}
