"""Reads the finished runs of sweeps, compares them, writes the report, and prints the result."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from src.config import CompareSettings
from src.errors.atlas import correct_by_run, read_atlases
from src.report.output import write_files
from src.report.table import table_frame
from src.report.terminal import print_lines, print_problems, print_step, print_table
from src.results.results import Results, load_results
from src.runs.looks import Look, take_look
from src.runs.paper import Paper
from src.runs.sweep import REPORT, VERDICT, Sweep
from src.verdict.claims import judge_claims
from src.verdict.methods import FINDINGS_SHARE, Promise
from src.verdict.verdicts import Verdicts, judge
from src.verdict.words import answer_lines, next_step

if TYPE_CHECKING:
    from src.report.report import Report


def compare_runs(
    sweeps: Sequence[Sweep],
    multirun: Path,
    folder: Path,
    console: Console,
    *,
    changed: bool = True,
    planned_looks: Sequence[int] = (),
    equal: float = CompareSettings().equal,
) -> tuple[Results, "Report | None", Verdicts | None]:
    """Write the report of the finished runs into `folder`, and print the comparison.

    Returns the results, the report and the verdicts.  Without a finished run, there are neither report nor verdicts.
    The report is also None if `changed` is false and the existing report is up to date.  `planned_looks` are the
    numbers of seeds at which seeds=auto compares.  Methods that differ by at most `equal` percentage points are equal.
    If the report cannot be written, this prints the comparison, then raises the error (BadInput if `folder` is not
    writable).
    """
    results = load_results(sweeps, multirun)
    if results.runs.empty:
        print_lines(console, ["No run has finished yet."])
        print_problems(console, results, sweeps)
        return results, None, None
    look = _take_look(sweeps, results, multirun, planned_looks)
    is_last = bool(look.planned) and len(set(results.runs["seed"])) >= look.planned[-1]
    promise = Promise(look.level, look.next_level, look.number, bool(look.planned), is_last, equal / 100)
    atlases = read_atlases(results, FINDINGS_SHARE * promise.level)
    largest_class = {
        atlas.source["digest"]: float(np.bincount(atlas.labels).max()) / len(atlas.labels)
        for atlas in atlases
        if atlas.runs
    }
    correct = correct_by_run(atlases)
    verdicts = judge(sweeps, results, correct, promise, largest_class)
    if (paper := _common_paper(sweeps)) is not None:
        verdicts = replace(verdicts, paper=paper, claims=judge_claims(paper, results, correct, promise.level))
    frame, answer = table_frame(results, verdicts), answer_lines(verdicts)
    report, warnings, write_error = None, list[str](), None
    try:
        if changed or not _is_report_current(folder, results, answer):
            from src.report.report import draw_report, report_files  # imports matplotlib, which is slow

            report = draw_report(sweeps, results, frame, atlases, verdicts, warnings.append)
            write_files(folder, report_files(report))
    except Exception as error:  # for example, the disk is full
        write_error = error
    print_lines(console, [*answer, ""])
    print_table(results, frame, console)
    print_lines(console, ["", *warnings], wrap=False)
    print_problems(console, results, sweeps, atlases)
    print_step(console, next_step(verdicts))
    if write_error is not None:
        raise write_error
    print_lines(console, [f"Details: {folder / REPORT}"], wrap=False)
    return results, report, verdicts


def _common_paper(sweeps: Sequence[Sweep]) -> Paper | None:
    """Return the paper whose claims all sweeps test, or None."""
    paper = sweeps[0].paper
    return paper if all(sweep.paper == paper for sweep in sweeps) else None


def _take_look(sweeps: Sequence[Sweep], results: Results, multirun: Path, planned: Sequence[int]) -> Look:
    """Return the look that this comparison takes at its methods; its number of seeds is that of the largest cell."""
    jobs_by_key = {job.key: job for sweep in sweeps for job in sweep.jobs}
    # A diverged job diverges again, so it has ended.  Another failure may be an accident that the next launch repairs.
    unfinished_labels = {job.label for job in results.unfinished if not job.has_diverged}
    ended_jobs = {key: job for key, job in jobs_by_key.items() if job.label not in unfinished_labels}
    seeds_by_cell: dict[str, set[int]] = {}
    for job in ended_jobs.values():
        seeds_by_cell.setdefault(job.cell, set()).add(job.seed)
    cell_keys = {*results.runs["cell_key"], *(settings["cell_key"] for settings in results.failed)} - {""}
    max_seeds = max(map(len, seeds_by_cell.values()), default=0)
    complete = len(ended_jobs) == len(jobs_by_key)
    return take_look(multirun, cell_keys, ended_jobs, max_seeds, planned, complete=complete)


def _is_report_current(folder: Path, results: Results, answer: Sequence[str]) -> bool:
    """Whether the folder's report gives this answer, and is newer than all results and all code."""
    report, verdict = folder / REPORT, folder / VERDICT
    if not report.exists() or not verdict.exists() or verdict.read_text(errors="replace").splitlines() != list(answer):
        return False
    inputs = [job.folder.result_path for job in results.jobs.values()]
    inputs += [path for path in Path(__file__).parents[1].rglob("*") if path.suffix in (".py", ".j2", ".css", ".js")]
    return report.stat().st_mtime_ns > max(path.stat().st_mtime_ns for path in inputs)
