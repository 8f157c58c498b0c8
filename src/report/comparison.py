"""Reads the finished runs of sweeps, compares them, writes the report, and prints the result."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from src.errors.atlas import correct_by_run, read_atlases
from src.report.output import write_files
from src.report.table import table_frame
from src.report.terminal import next_step_lines, print_evidence, print_lines, print_table, problem_lines
from src.results.results import Results, load_results
from src.runs.sweep import REPORT, Sweep
from src.verdict.verdicts import judge

if TYPE_CHECKING:
    from src.report.report import Report


def compare_runs(
    sweeps: Sequence[Sweep], multirun: Path, folder: Path, console: Console, *, changed: bool = True
) -> tuple[Results, "Report | None"]:
    """Write the report of the finished runs into `folder`, print the comparison, and return the results and the report.

    The report is None if no run has finished, or if `changed` is false and the existing report is up to date.  If the
    report cannot be written, this prints the comparison, then raises the error (BadInput if `folder` is not writable).
    """
    results = load_results(sweeps, multirun)
    if results.runs.empty:
        lines = ["No run has finished yet.", *problem_lines(results), *next_step_lines(results, sweeps)]
        print_lines(console, lines, wrap=False)
        return results, None
    atlases = read_atlases(results)
    verdicts = judge(sweeps, results, correct_by_run(atlases))
    frame = table_frame(results, verdicts.letters)
    report, warnings, write_error = None, list[str](), None
    try:
        if changed or not _is_report_current(folder / REPORT, results):
            from src.report.report import draw_report, report_files  # imports matplotlib, which is slow

            report = draw_report(sweeps, results, frame, atlases, verdicts, warnings.append)
            write_files(folder, report_files(report))
    except Exception as error:  # for example, the disk is full
        write_error = error
    print_lines(console, [*verdicts.opening, ""])
    print_table(results, frame, console)
    print_evidence(console, verdicts, atlases)
    lines = ["", *problem_lines(results), *warnings, *next_step_lines(results, sweeps, atlases, verdicts.more)]
    print_lines(console, lines, wrap=False)
    if write_error is not None:
        raise write_error
    files = "the folder also contains report.md, tables as CSV, figures and image galleries"
    print_lines(console, [f"Report: {folder / REPORT} ({files})"], wrap=False)
    return results, report


def _is_report_current(report: Path, results: Results) -> bool:
    """Whether the report exists and is newer than all results and all code."""
    inputs = [job.folder.result_path for job in results.jobs.values()]
    inputs += [path for path in Path(__file__).parents[1].rglob("*") if path.suffix in (".py", ".j2", ".css", ".js")]
    return report.exists() and report.stat().st_mtime_ns > max(path.stat().st_mtime_ns for path in inputs)
