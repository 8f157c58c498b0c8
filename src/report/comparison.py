"""A comparison of finished runs: printed, written into a folder, and returned."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from src.errors.atlas import read_atlases, right_by_run
from src.report.output import write_all
from src.report.printed import say, say_images, say_unfinished, say_verdict
from src.report.printed_table import print_table
from src.report.table import as_frame, json_content, notes
from src.results.records import Records, load_records
from src.runs.sweep import REPORT, Sweep
from src.verdict.pairs import Pair, clearest
from src.verdict.verdicts import judge

if TYPE_CHECKING:
    from src.report.report import Report

SOURCE = Path(__file__).parent.parent
PAIRS = 1_000  # that the JSON holds, the clearest; of a thousand cells there are half a million


@dataclass(frozen=True)
class Comparison:
    """What was compared; without a finished run, or where it stands already, there is no report."""

    records: Records
    report: "Report | None" = None

    def as_json(self) -> dict[str, Any]:
        """Everything printed, and more of it, as JSON."""
        assert self.report is not None
        frame, verdicts = self.report.frame, self.report.verdicts
        return {
            "sweeps": [sweep.id for sweep in self.report.sweeps],
            "notes": notes(self.records, frame),
            "verdict": list(verdicts.opening),
            "cells": json_content(frame),
            "pairs": [_pair(pair) for pair in clearest(verdicts.pairs, PAIRS)],
            "pairs in all": len(verdicts.pairs),
            "effects": [asdict(effect) | {"words": effect.words} for effect in verdicts.effects],
            "more": verdicts.more,
            "left out": list(verdicts.left_out),
            "unfinished": [vars(job) for job in self.records.unfinished],
            "incomplete": [vars(job) for job in self.records.incomplete],
            "images": [atlas.as_json() for atlas in self.report.atlases],
        }


def _pair(pair: Pair) -> dict[str, Any]:
    names = ("first", "second", "difference", "low", "high", "p", "p_holm", "method", "n", "superiority", "decided")
    marks = {"equal": pair.equal, "across environments": pair.across}
    return {name: getattr(pair, name) for name in (*names, "wilcoxon", "bootstrap", "words")} | marks


def compare(
    sweeps: Sequence[Sweep], multirun: Path, out: Path, console: Console, *, changed: bool = True
) -> Comparison:
    """Write table, figures, galleries and report of the finished jobs into `out`, then print the comparison.

    Where nothing has `changed` since they were written, the files stay as they are, and no report is returned.  Files
    that cannot be written are no reason to print nothing: the error is raised after the last line.

    Raises:
        BadInput: where `out` cannot be written.
    """
    records = load_records(sweeps, multirun)
    if not records.cells:
        say_unfinished(records, sweeps, console)
        say(console, "no run has finished yet: nothing to compare")
        return Comparison(records)
    atlases = read_atlases(records)
    verdicts = judge(sweeps, records, right_by_run(atlases))
    frame = as_frame(records, verdicts.letters)
    report, missing, failure = None, list[str](), None
    try:
        if changed or not _newer(out / REPORT, records):
            from src.report.written import draw, files  # imports matplotlib, for new files alone

            report = draw(sweeps, records, frame, atlases, verdicts, missing.append)
            write_all(out, files(report))
    except Exception as error:  # a full disk, say
        failure = error
    print_table(records, frame, console)
    say_verdict(verdicts, console)
    for atlas in atlases:
        say_images(atlas, console, several=len(atlases) > 1)
    say_unfinished(records, sweeps, console, unreadable_predictions=any(atlas.unreadable for atlas in atlases))
    for line in missing:
        say(console, line)
    if failure is not None:
        raise failure
    say(console, f"in {out}: {REPORT} and report.md, tables as CSV, figures and galleries")
    return Comparison(records, report)


def _newer(report: Path, records: Records) -> bool:
    """Whether a report is there and younger than all results and all code, which its words tell of.

    A command that was killed may not have come to it.
    """
    told = [job.folder.result_path for cell in records.cells for job in cell.jobs]
    told += [path for path in SOURCE.rglob("*") if path.suffix in (".py", ".j2", ".css", ".js")]
    return report.exists() and report.stat().st_mtime_ns > max(path.stat().st_mtime_ns for path in told)
