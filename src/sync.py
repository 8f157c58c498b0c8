"""Deliver finished and interrupted runs to MLflow from their folders, for example after the store was down.

    python -m src.sync                              the latest sweep
    python -m src.sync --sweep 1a2b3c4d             another one, by the first digits of its id
    python -m src.sync --uri http://127.0.0.1:5000  to another store

Repeating a delivery changes nothing. Exit status: 0 if everything is delivered, 2 for bad input, 3 if something is
missing, 130 for Ctrl-C.
"""

import sys
from pathlib import Path

from src.bad_input import BadInput, out_of_memory
from src.command import Parser, check_current_folder, typed_path
from src.options import Tracking
from src.runs.folder import MULTIRUN
from src.runs.manifests import choose_sweeps
from src.startup import check_address_space, docstring, prepare_process
from src.tracking.address import check_address, refuse_secrets


def main() -> None:
    """Run the command."""
    prepare_process()
    parser = Parser("sync", docstring(__file__))
    parser.add_argument("--sweep", metavar="ID", action="append", help="first digits of a sweep's id; repeatable")
    parser.add_argument("--uri", help="the store (default: MLFLOW_TRACKING_URI, else mlflow.db in this folder)")
    parser.add_argument("--experiment", default="normlab", help="default: %(default)s, or MLFLOW_EXPERIMENT_NAME")
    parser.add_argument("--multirun", metavar="DIR", type=typed_path, default=MULTIRUN, help="default: %(default)s")
    try:
        check_current_folder()
        check_address_space()
        refuse_secrets(sys.argv[1:])
        arguments = parser.parse_args()
        settings = Tracking("sqlite", arguments.uri, arguments.experiment)
        sys.exit(sync(arguments.multirun, arguments.sweep or [], settings))
    except (BadInput, MemoryError) as error:
        print(error if isinstance(error, BadInput) else out_of_memory(), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def sync(multirun: Path, ids: list[str], settings: Tracking) -> int:
    """Deliver the sweeps whose ids begin with `ids`, by default the latest; returns the exit status.

    Raises BadInput for an unknown sweep and for a store that cannot be used.
    """
    sweeps = choose_sweeps(multirun, ids)
    check_address(settings, "--uri")
    from src.tracking.session import Tracker  # imports mlflow

    delivered = True
    for sweep in sweeps:
        tracker = Tracker(settings, sweep, multirun, lambda line: print(line, file=sys.stderr), by_sync=True)
        tracker.open()
        delivered &= tracker.close()
    return 0 if delivered else 3


if __name__ == "__main__":
    main()
