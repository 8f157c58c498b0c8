"""Deliver finished and interrupted runs to MLflow from their folders, for example after the store was down.

    python -m src.sync                              delivers the latest sweep
    python -m src.sync --sweep 1a2b3c4d             delivers the sweep with an id that starts with 1a2b3c4d
    python -m src.sync --uri http://127.0.0.1:5000  delivers to the store at this address

A second delivery changes nothing. Exit status: 0 if MLflow has everything, 2 for bad input, 3 if MLflow still lacks
something, 130 for Ctrl-C.
"""

import sys
from pathlib import Path

from src.command import MULTIRUN, Parser, typed_path
from src.options import Tracking
from src.runs.manifests import choose_sweeps
from src.startup import read_docstring, run_and_exit
from src.tracking.address import check_address, refuse_secrets


def main() -> None:
    """Run `python -m src.sync` with the command line's arguments."""
    run_and_exit(_parse_and_sync)


def _parse_and_sync() -> int:
    parser = Parser("sync", read_docstring(__file__))
    sweep_help = "deliver this sweep instead of the latest; the first characters of its id are enough; can be repeated"
    parser.add_argument("--sweep", metavar="ID", action="append", help=sweep_help)
    parser.add_argument("--uri", help="address of the MLflow store (default: MLFLOW_TRACKING_URI, or mlflow.db)")
    experiment_help = "MLflow experiment that receives the runs (default: MLFLOW_EXPERIMENT_NAME, or %(default)s)"
    parser.add_argument("--experiment", metavar="NAME", default="normlab", help=experiment_help)
    multirun_help = "folder that contains the sweeps (default: %(default)s)"
    parser.add_argument("--multirun", metavar="DIR", type=typed_path, default=MULTIRUN, help=multirun_help)
    refuse_secrets(sys.argv[1:])
    arguments = parser.parse_args()
    settings = Tracking("sqlite", arguments.uri, arguments.experiment)
    return sync(arguments.multirun, arguments.sweep or [], settings)


def sync(multirun: Path, ids: list[str], settings: Tracking) -> int:
    """Deliver the sweeps whose ids start with one of `ids`, or the latest sweep; return the exit status.

    Raises BadInput if a sweep is unknown or the store cannot be used.
    """
    sweeps = choose_sweeps(multirun, ids)
    check_address(settings, "--uri")
    from src.tracking.session import Tracker  # after the checks, because it imports mlflow

    all_delivered = True
    for sweep in sweeps:
        tracker = Tracker(settings, sweep, multirun, lambda line: print(line, file=sys.stderr), for_sync=True)
        tracker.open()
        all_delivered &= tracker.close()
    return 0 if all_delivered else 3


if __name__ == "__main__":
    main()
