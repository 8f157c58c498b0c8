"""Compare finished runs: which differences are real, and what each method gets wrong.

    python -m src.compare                                   the latest sweep
    python -m src.compare --sweep 1a2b3c4d                  another one, by the first digits of its id
    python -m src.compare --sweep 1a2b --sweep 9f8e         two together
    python -m src.compare --tuned norm                      each norm at its own best other settings
    python -m src.compare --assignment --budget 20000       what a course hands in
    python -m src.compare --out figures --csv all.csv --curves curves.csv --latex table.tex --json all.json
    python -m src.compare --json -                          as JSON alone; what is printed goes to the error stream

The sweep's folder gets report.html, report.md, table, figures and galleries.  Exit status: 0; 1 where no run has
finished yet; 2 for bad input; 130 for Ctrl-C.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from src.bad_input import BadInput, out_of_memory
from src.command import Parser, check_current_folder, typed_path
from src.console import SteadyConsole
from src.report.output import check_outputs, stdout_is_among, write
from src.runs.folder import MULTIRUN
from src.runs.manifests import choose_sweeps
from src.runs.sweep import Sweep
from src.startup import check_address_space, docstring, prepare_process

if TYPE_CHECKING:
    from src.report.comparison import Comparison
    from src.report.report import Report
    from src.verdict.tuned import Tuned


def main() -> None:
    """Run the command."""
    prepare_process()
    try:
        check_current_folder()
        check_address_space()
        sys.exit(_run(_parser().parse_args()))
    except BadInput as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(2)
    except MemoryError:
        print(out_of_memory(), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> Parser:
    parser = Parser("compare", docstring(__file__))
    parser.add_argument("--sweep", metavar="ID", action="append", help="first digits of a sweep's id; may repeat")
    parser.add_argument("--tuned", metavar="KEY", help="compare each value of a key at its own best other settings")
    parser.add_argument("--assignment", action="store_true", help="write what a course hands in, in its own folder")
    parser.add_argument("--budget", metavar="N", type=int, help="parameters that an assignment allows, at most")
    parser.add_argument(
        "--out", metavar="DIR", type=typed_path, help="where the files go (default: the sweep's folder)"
    )
    parser.add_argument("--json", metavar="FILE", type=typed_path, help="write everything as JSON too; - for stdout")
    parser.add_argument("--csv", metavar="FILE", type=typed_path, help="write the table as CSV here too; - for stdout")
    parser.add_argument(
        "--curves", metavar="FILE", type=typed_path, help="write the curves as CSV here too; - for stdout"
    )
    parser.add_argument("--latex", metavar="FILE", type=typed_path, help="write the table for LaTeX too; - for stdout")
    parser.add_argument("--multirun", metavar="DIR", type=typed_path, default=MULTIRUN, help="default: %(default)s")
    return parser


def _run(arguments: Namespace) -> int:
    options = ("csv", "json", "curves", "latex")
    files = check_outputs({f"--{name}": getattr(arguments, name) for name in options})
    if arguments.budget is not None and (arguments.budget < 1 or not arguments.assignment):
        way_on = "--assignment --budget 20000"
        raise BadInput(f"--budget {arguments.budget}", "an integer >= 1, with --assignment", way_on)
    console = SteadyConsole(stderr=stdout_is_among(files))
    sweeps = choose_sweeps(arguments.multirun, arguments.sweep or [])
    out = arguments.out or default_out(sweeps, arguments.multirun)
    from src.report.comparison import compare  # takes a second to import, which a refusal does not wait for
    from src.report.printed import say

    comparison = compare(sweeps, arguments.multirun, out, console)
    if comparison.report is None:
        return 1
    tuned = _tuned(comparison.report, arguments.tuned, console) if arguments.tuned else None
    if arguments.assignment:
        from src.report.assignment import write_assignment

        write_assignment(comparison.report, out / "assignment", arguments.budget)
        say(console, f"written to {out / 'assignment'}: README.md and its pictures")
    _write_files(arguments, comparison, comparison.report, tuned)
    return 0


def _write_files(arguments: Namespace, comparison: "Comparison", report: "Report", tuned: "Tuned | None") -> None:
    from src.report.curves_csv import curves_csv
    from src.report.latex import latex
    from src.report.table import csv_content

    if arguments.csv is not None:
        write(arguments.csv, csv_content(report.frame))
    if arguments.curves is not None:
        write(arguments.curves, curves_csv(report.records.cells))
    if arguments.latex is not None:
        write(arguments.latex, latex(report.records, report.frame))
    if arguments.json is not None:
        everything = comparison.as_json() | ({} if tuned is None else {"tuned": asdict(tuned)})
        write(arguments.json, (json.dumps(everything, indent=2, allow_nan=False) + "\n").encode())


def _tuned(report: "Report", key: str, console: SteadyConsole) -> "Tuned":
    """What each value of a key comes to with the other settings that suit it best; it is printed too."""
    from src.errors.atlas import right_by_run
    from src.report.printed import say
    from src.verdict.tuned import tuned

    found = tuned(report.records, key, right_by_run(report.atlases))
    console.print()
    for row in found.rows:
        spread = f" ± {100 * row.test.sd:.2f}" if row.test.sd is not None else ""
        accuracies = f"validation {100 * row.validation:.2f} %, test {100 * row.test.mean:.2f}{spread} %"
        say(console, f"{row.level}: {row.cell}, {accuracies}")
    for sentence in found.sentences:
        console.print(sentence, highlight=False, markup=False)
    return found


def default_out(sweeps: Sequence[Sweep], multirun: Path) -> Path:
    """The sweep's folder; for several a folder inside the first one's, whose own table stays what it is."""
    folder = sweeps[0].folder(multirun)
    others = [sweep.id[:8] for sweep in sweeps[1:]]
    return folder / f"with-{'-'.join(others)[:80]}" if others else folder


if __name__ == "__main__":
    main()
