"""Compare finished runs: which methods are better, and which images each method gets wrong.

    python -m src.compare                                   the latest sweep
    python -m src.compare --sweep 1a2b3c4d                  another sweep, by the first characters of its id
    python -m src.compare --sweep 1a2b --sweep 9f8e         two sweeps together
    python -m src.compare --tuned norm                      each norm at its best other settings
    python -m src.compare --assignment --budget 20000       the files for a course assignment
    python -m src.compare --out figures --csv all.csv --curves curves.csv --latex table.tex --json all.json
    python -m src.compare --json -                          JSON on stdout; messages go to stderr

Runs that normlab did not train are compared in the same way, with two seeds or more for each method:

    python -m src.compare --from-csv runs.csv --metric accuracy        one row per run, with a column seed
    python -m src.compare --mlflow http://HOST:5000 --experiment NAME --metric test/accuracy --by seed
    python -m src.compare --from-csv runs.csv --metric loss --lower-is-better --factors norm,lr --equal 0.01

Writes report.html, report.md, tables, figures and image galleries into the sweep's folder.  Exit status: 0; 1 if no run
has finished yet; 2 for bad input; 130 for Ctrl-C.
"""

import json
import re
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from src.bad_input import BadInput
from src.command import MULTIRUN, Parser, command_name, typed_path
from src.config import KEYS, CompareSettings
from src.options import Tracking
from src.report.output import STDOUT, check_output_options, write_output
from src.runs.external import ExternalRuns, sort_into_cells
from src.runs.manifests import choose_sweeps
from src.runs.sweep import Sweep
from src.startup import read_docstring, run_and_exit

if TYPE_CHECKING:
    from src.console import SteadyConsole
    from src.report.external import ExternalReport
    from src.report.report import Report
    from src.verdict.tuned import Tuned

EXTERNAL_OPTIONS = ("from_csv", "mlflow", "experiment", "metric", "by", "factors", "lower_is_better", "look")
OWN_OPTIONS = ("sweep", "tuned", "assignment", "budget", "curves", "latex")  # these need normlab's job folders
MAX_LOOK = 10  # look N spends 4.75 % x 0.05^(N - 1)


def main() -> None:
    """Run the command `python -m src.compare` and exit with its status."""
    run_and_exit(lambda: _compare_and_write(_make_parser().parse_args()))


def _make_parser() -> Parser:
    parser = Parser("compare", read_docstring(__file__))
    sweep_help = "compare this sweep instead of the latest; the first characters of its id are enough; can be repeated"
    parser.add_argument("--sweep", metavar="ID", action="append", help=sweep_help)
    parser.add_argument("--tuned", metavar="KEY", help="also show each value of KEY with its best other settings")
    parser.add_argument("--assignment", action="store_true", help="also write the files for a course assignment")
    parser.add_argument("--budget", metavar="N", type=int, help="largest number of parameters that the course allows")
    equal_help = "methods that differ by at most this are equal (default: as in the sweep's command, or 0.1)"
    parser.add_argument("--equal", metavar="POINTS", type=float, help=equal_help)
    _add_external_options(parser)
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


def _add_external_options(parser: Parser) -> None:
    group = parser.add_argument_group("runs that normlab did not train")
    help_texts = {
        "--from-csv FILE": "compare the runs in this CSV file, which has one row per run",
        "--mlflow URI": "address of the MLflow store with the runs (default: MLFLOW_TRACKING_URI, or mlflow.db)",
        "--experiment NAME": "compare the runs of this MLflow experiment; its params are the settings",
        "--metric NAME": "column or metric to compare; --equal is in its unit (points for accuracies from 0 to 1)",
        "--by NAME": "column or param that holds the seed (default: seed)",
        "--factors NAMES": "settings that distinguish the methods, separated by commas (default: all that vary)",
    }
    for option, help_text in help_texts.items():
        name, metavar = option.split()
        group.add_argument(name, metavar=metavar, type=typed_path if metavar == "FILE" else str, help=help_text)
    group.add_argument("--lower-is-better", action="store_true", default=None, help="the metric is a loss or an error")
    look_help = "how often you have compared these methods, with this time; later looks need clearer differences"
    group.add_argument("--look", metavar="N", type=int, help=look_help)


def _compare_and_write(arguments: Namespace) -> int:
    options = ("csv", "json", "curves", "latex")
    output_files = check_output_options({f"--{name}": getattr(arguments, name) for name in options})
    if arguments.budget is not None and (arguments.budget < 1 or not arguments.assignment):
        example = "--assignment --budget 20000"
        raise BadInput(f"--budget {arguments.budget} cannot be used", "an integer >= 1, with --assignment", example)
    if arguments.equal is not None and not KEYS["compare.equal"].accepts(arguments.equal):
        raise BadInput(f"--equal {arguments.equal:g} cannot be used", "a number above 0, at most 100", "--equal 0.1")
    if _has_external_runs(arguments):
        external = _read_external(arguments)
        _write_files(arguments, _compare_external(arguments, external, _make_console(output_files)), None)
        return 0
    sweeps = choose_sweeps(arguments.multirun, arguments.sweep or [])
    equal = arguments.equal or min(map(equal_points, sweeps))
    report_folder = arguments.out or default_report_folder(sweeps, arguments.multirun)
    from src.report.comparison import compare_runs  # imported only after the checks, because it takes a second
    from src.report.terminal import print_lines

    console = _make_console(output_files)
    _, report, _ = compare_runs(sweeps, arguments.multirun, report_folder, console, equal=equal)
    if report is None:
        return 1
    tuned = None
    if arguments.tuned:
        from src.verdict.tuned import tune_values

        tuned = tune_values(report.results, arguments.tuned, report.verdicts)
        print_lines(console, ["", *tuned.sentences, *tuned.lines])
    if arguments.assignment:
        from src.report.assignment import write_assignment

        write_assignment(report, report_folder / "assignment", arguments.budget)
        print_lines(console, [f"Assignment: {report_folder / 'assignment'} (the text is in README.md)"], wrap=False)
    _write_files(arguments, report, tuned)
    return 0


def _has_external_runs(arguments: Namespace) -> bool:
    """Whether the runs come from a CSV file or an experiment; raises BadInput if the options contradict each other."""
    typed = {name for name, value in vars(arguments).items() if value not in (None, False)}
    external = [_option(name) for name in EXTERNAL_OPTIONS if name in typed]
    if not typed & {"from_csv", "experiment"}:
        if external:
            source = "--from-csv FILE --metric NAME, or --experiment NAME --metric NAME"
            raise BadInput(f"{external[0]} needs runs that normlab did not train", source)
        return False
    if {"from_csv", "experiment"} <= typed or {"from_csv", "mlflow"} <= typed:
        raise BadInput("the runs come from either a CSV file or an experiment", "--from-csv, or --mlflow --experiment")
    others = [_option(name) for name in OWN_OPTIONS if name in typed]
    others += ["--multirun"] if arguments.multirun != MULTIRUN else []
    if others:
        usable = ", ".join(map(_option, [*EXTERNAL_OPTIONS[3:], "equal", "out", "csv", "json"]))
        raise BadInput(f"{others[0]} needs runs that normlab trained", usable)
    if arguments.metric is None:
        raise BadInput("--metric is missing", "the column or metric to compare", "--metric test/accuracy")
    if arguments.look is not None and not 1 <= arguments.look <= MAX_LOOK:
        raise BadInput(f"--look {arguments.look} cannot be used", f"an integer from 1 to {MAX_LOOK}", "--look 2")
    return True


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _make_console(output_files: Sequence[Path]) -> "SteadyConsole":
    from src.console import SteadyConsole  # imports rich, which a refused command must not wait for

    return SteadyConsole(stderr=STDOUT in output_files)


def _compare_external(arguments: Namespace, external: ExternalRuns, console: "SteadyConsole") -> "ExternalReport":
    """Compare runs that normlab did not train, and return the report."""
    from src.report.external import compare_external
    from src.verdict.external import external_promise

    promise = external_promise(external, arguments.equal, arguments.look or 1)
    name = re.sub(r"[^\w.+-]+", "_", Path(external.source).stem)
    folder = arguments.out or Path(f"comparison-{name}")
    command = shlex.join([*command_name("compare").split(), *sys.argv[1:]])
    return compare_external(external, promise, folder, console, command)


def _read_external(arguments: Namespace) -> ExternalRuns:
    metric, by, left_out = arguments.metric, arguments.by or "seed", list[str]()
    if arguments.from_csv is not None:
        from src.runs.external_csv import read_csv_runs

        source, runs = str(arguments.from_csv), read_csv_runs(arguments.from_csv, metric, by)
    else:
        from src.tracking.address import check_readable, refuse_secrets

        refuse_secrets(sys.argv[1:])
        settings, source = Tracking("sqlite", arguments.mlflow, arguments.experiment), arguments.experiment
        check_readable(settings, "--mlflow")
        from src.tracking.experiments import read_experiment  # after the checks, because it imports mlflow

        runs, left_out = read_experiment(settings, metric, by)
    factors = [name.strip() for name in (arguments.factors or "").split(",") if name.strip()]
    lower_is_better = bool(arguments.lower_is_better)
    return sort_into_cells(source, metric, by, runs, factors, lower_is_better=lower_is_better, left_out=left_out)


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


def default_report_folder(sweeps: Sequence[Sweep], multirun: Path) -> Path:
    """Return the folder of a sweep, or for several sweeps a new folder inside the first sweep's folder."""
    folder, *other_folders = (sweep.folder(multirun) for sweep in sweeps)
    return folder / f"with-{'-'.join(other.name for other in other_folders)[:80]}" if other_folders else folder


if __name__ == "__main__":
    main()
