"""Prepares the process of a command, before the command does anything else."""

import ast
import atexit
import gc
import logging
import os
import re
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from src.bad_input import BadInput, out_of_memory_refusal
from src.command import as_refusal, check_current_folder
from src.standard_streams import make_output_steady

MIN_ADDRESS_SPACE = 600_000_000  # bytes of address space (`ulimit -v`); comparing and syncing both fail with less
COLLECTION_THRESHOLD = 100_000  # new objects between two garbage collections; Python's default is 700 or 2,000


def prepare_process() -> None:
    """Make output steady, slow the garbage collector down, and ignore the settings of other programs.

    Call it before any thread starts.  Child processes inherit the environment variables that it sets.
    """
    make_output_steady()
    # Imports create 300,000 objects that live until the command ends.  Searching them for garbage takes a quarter of
    # the import time, and 0.8 s at exit.
    gc.set_threshold(COLLECTION_THRESHOLD)
    atexit.register(gc.freeze)
    if "ipykernel" not in sys.modules:  # a notebook keeps its own settings
        _print_warnings_instead_of_raising()
        _ignore_matplotlib_settings()


def run_and_exit(command: Callable[[], int]) -> NoReturn:
    """Run `compare` or `sync`, and exit with its status, with 2 after a refusal, or with 130 after Ctrl-C."""
    prepare_process()
    try:
        check_current_folder()
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY and limit < MIN_ADDRESS_SPACE:  # some libraries would end the process
            raise out_of_memory_refusal()
        sys.exit(command())
    except (BadInput, MemoryError, ModuleNotFoundError) as error:
        print(as_refusal(error), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def read_docstring(file: str) -> str:
    """Return the docstring in a module's file; `PYTHONOPTIMIZE=2` removes docstrings from imported modules."""
    return ast.get_docstring(ast.parse(Path(file).read_text(encoding="utf-8"))) or ""


def _ignore_matplotlib_settings() -> None:
    os.environ.pop("MPLBACKEND", None)  # Jupyter sets it for every command that a notebook runs
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # matplotlib warns if the home folder is read-only
    os.environ["MATPLOTLIBRC"] = os.devnull  # overrides the settings file in the user's configuration folder
    if Path("matplotlibrc").exists():  # the file would override MATPLOTLIBRC, and a damaged file breaks the import
        current_folder = Path.cwd()
        os.chdir(Path(os.devnull).parent)
        try:
            import matplotlib  # noqa: F401  # matplotlib reads its settings once, at its first import
        finally:
            os.chdir(current_folder)


def _print_warnings_instead_of_raising() -> None:
    """Print the warnings that `PYTHONWARNINGS=error` or `-W error` would raise: no warning may end a sweep."""
    if [*map(_downgrade, sys.warnoptions)] == sys.warnoptions:
        return
    # multiprocessing passes these options to its processes and removes "error::BytesWarning" of `python -bb` by name.
    sys.warnoptions[:] = [text if text == "error::BytesWarning" else _downgrade(text) for text in sys.warnoptions]
    if "PYTHONWARNINGS" in os.environ:
        os.environ["PYTHONWARNINGS"] = ",".join(map(_downgrade, os.environ["PYTHONWARNINGS"].split(",")))
    filters: list[tuple[object, ...]] = warnings.filters  # type: ignore[assignment]  # typeshed declares `filters` as an immutable sequence
    filters[:] = [("default", *rest) if action == "error" else (action, *rest) for action, *rest in filters]
    warnings.simplefilter("default", append=True)  # makes the warnings module notice the changed list of filters


def _downgrade(option: str) -> str:
    """Return a `-W` option with its action `error`, or an abbreviation such as `err`, replaced by `default`."""
    return re.sub(r"^\s*(e|er|err|erro|error)\s*(?=:|$)", "default", option)
