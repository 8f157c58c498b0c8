"""Compare finished runs: which methods are better, and which images each method gets wrong.

    python -m src.compare                                   the latest sweep
    python -m src.compare --sweep 1a2b3c4d                  another sweep, by the first characters of its id
    python -m src.compare --sweep 1a2b --sweep 9f8e         two sweeps together
    python -m src.compare --tuned norm                      each norm at its best other settings
    python -m src.compare --assignment --budget 20000       the files for a course assignment
    python -m src.compare --out figures --csv all.csv --curves curves.csv --latex table.tex --json all.json
    python -m src.compare --json -                          JSON on stdout; messages go to stderr

Writes report.html, report.md, tables, figures and image galleries into the sweep's folder.  Exit status: 0; 1 if no run
has finished yet; 2 for bad input; 130 for Ctrl-C.
"""

import json
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from src.bad_input import BadInput, out_of_memory_refusal
from src.command import Parser, check_current_folder, typed_path
from src.config import KEYS, CompareSettings
from src.console import SteadyConsole
from src.report.output import STDOUT, check_output_options, write_output
from src.runs.folder import MULTIRUN
from src.runs.manifests import choose_sweeps
from src.runs.sweep import Sweep
from src.startup import check_address_space, prepare_process, read_docstring

if TYPE_CHECKING:
    from src.report.report import Report
    from src.verdict.tuned import Tuned


def main() -> None:
    """Run the command `python -m src.compare` and exit with its status."""
    prepare_process()
    try:
        check_current_folder()
        check_address_space()
        sys.exit(_compare_and_write(_make_parser().parse_args()))
    except BadInput as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(2)
    except MemoryError:
        print(out_of_memory_refusal(), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _make_parser() -> Parser:
    parser = Parser("compare", read_docstring(__file__))
    sweep_help = "compare this sweep instead of the latest; the first characters of its id are enough; can be repeated"
    parser.add_argument("--sweep", metavar="ID", action="append", help=sweep_help)
    parser.add_argument("--tuned", metavar="KEY", help="also show each value of KEY with its best other settings")
    parser.add_argument("--assignment", action="store_true", help="also write the files for a course assignment")
    parser.add_argument("--budget", metavar="N", type=int, help="largest number of parameters that the course allows")
    equal_help = "methods that differ by at most this are equal (default: as in the sweep's command, or 0.1)"
    parser.add_argument("--equal", metavar="POINTS", type=float, help=equal_help)
    option_help = {
        "--out": "folder that receives the report (default: the sweep's folder)",
        "--json": "also write all results as JSON; FILE can be -, for stdout",
        "--csv": "also write the table as CSV; FILE can be -, for stdout",
        "--curves": "also write the curves as CSV; FILE can be -, for stdout",
        "--latex": "also write the table for LaTeX; FILE can be -, for stdout",
    }
    for option, help_text in option_help.items():
        parser.add_argument(option, metavar="DIR" if option == "--out" else "FILE", type=typed_path, help=help_text)
    multirun_help = "folder that contains the sweeps (default: %(default)s)"
    parser.add_argument("--multirun", metavar="DIR", type=typed_path, default=MULTIRUN, help=multirun_help)
    return parser


def _compare_and_write(arguments: Namespace) -> int:
    options = ("csv", "json", "curves", "latex")
    output_files = check_output_options({f"--{name}": getattr(arguments, name) for name in options})
    if arguments.budget is not None and (arguments.budget < 1 or not arguments.assignment):
        example = "--assignment --budget 20000"
        raise BadInput(f"--budget {arguments.budget} cannot be used", "an integer >= 1, with --assignment", example)
    if arguments.equal is not None and not KEYS["compare.equal"].accepts(arguments.equal):
        raise BadInput(f"--equal {arguments.equal:g} cannot be used", "a number above 0, at most 100", "--equal 0.1")
    console = SteadyConsole(stderr=STDOUT in output_files)
    sweeps = choose_sweeps(arguments.multirun, arguments.sweep or [])
    equal = arguments.equal or min(map(equal_points, sweeps))
    report_folder = arguments.out or default_report_folder(sweeps, arguments.multirun)
    from src.report.comparison import compare_runs  # imported only after the checks, because it takes a second
    from src.report.terminal import print_lines

    _, report, _ = compare_runs(sweeps, arguments.multirun, report_folder, console, equal=equal)
    if report is None:
        return 1
    tuned = _compare_at_best_settings(report, arguments.tuned, console) if arguments.tuned else None
    if arguments.assignment:
        from src.report.assignment import write_assignment

        write_assignment(report, report_folder / "assignment", arguments.budget)
        print_lines(console, [f"Assignment: {report_folder / 'assignment'} (the text is in README.md)"], wrap=False)
    _write_files(arguments, report, tuned)
    return 0


def equal_points(sweep: Sweep) -> float:
    """Return the value of `compare.equal` in the command of a sweep, or its default."""
    try:
        arguments = (argument for argument in shlex.split(sweep.command) if argument.startswith("compare.equal="))
        return float(next(arguments).partition("=")[2])
    except (StopIteration, ValueError):  # not in the command, or not as a plain number
        return CompareSettings.equal


def _write_files(arguments: Namespace, report: "Report", tuned: "Tuned | None") -> None:
    from src.report.latex import latex_table
    from src.report.table import csv_content, curves_csv

    if arguments.csv is not None:
        write_output(arguments.csv, csv_content(report.frame))
    if arguments.curves is not None:
        write_output(arguments.curves, curves_csv(report.results.epochs))
    if arguments.latex is not None:
        write_output(arguments.latex, latex_table(report.results, report.frame))
    if arguments.json is not None:
        results = report.as_json() | ({} if tuned is None else {"tuned": asdict(tuned)})
        write_output(arguments.json, (json.dumps(results, indent=2, allow_nan=False) + "\n").encode())


def _compare_at_best_settings(report: "Report", key: str, console: SteadyConsole) -> "Tuned":
    """Print each value of a key with its best other settings, and return them."""
    from src.report.terminal import print_lines
    from src.verdict.tuned import tune_values

    tuned_values = tune_values(report.results, key, report.verdicts)
    print_lines(console, ["", *tuned_values.sentences, *tuned_values.lines])
    return tuned_values


def default_report_folder(sweeps: Sequence[Sweep], multirun: Path) -> Path:
    """Return the folder of a sweep, or for several sweeps a new folder inside the first sweep's folder."""
    folder, *other_folders = (sweep.folder(multirun) for sweep in sweeps)
    return folder / f"with-{'-'.join(other.name for other in other_folders)[:80]}" if other_folders else folder


if __name__ == "__main__":
    main()
