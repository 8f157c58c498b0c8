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
from pathlib import Path

from src.bad_input import out_of_memory_refusal
from src.standard_streams import make_output_steady

MIN_ADDRESS_SPACE = 600_000_000  # bytes of address space; comparing and syncing both fail with less
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
        _never_raise_warnings()
        _ignore_matplotlib_settings()


def check_address_space() -> None:
    """Raise `BadInput` if `ulimit -v` is too small to load the libraries; some of them would end the process."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < MIN_ADDRESS_SPACE:
        raise out_of_memory_refusal()


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


def _never_raise_warnings() -> None:
    """Print the warnings that `PYTHONWARNINGS=error` or `-W error` would raise: no warning may end a sweep."""
    if [*map(_to_default, sys.warnoptions)] == sys.warnoptions:
        return
    # multiprocessing passes these options to its processes and removes "error::BytesWarning" of `python -bb` by name.
    sys.warnoptions[:] = [text if text == "error::BytesWarning" else _to_default(text) for text in sys.warnoptions]
    if "PYTHONWARNINGS" in os.environ:
        os.environ["PYTHONWARNINGS"] = ",".join(map(_to_default, os.environ["PYTHONWARNINGS"].split(",")))
    filters: list[tuple[object, ...]] = warnings.filters  # type: ignore[assignment]  # typeshed declares `filters` as an immutable sequence
    filters[:] = [("default", *rest) if action == "error" else (action, *rest) for action, *rest in filters]
    warnings.simplefilter("default", append=True)  # tells the module that the filters have changed


def _to_default(option: str) -> str:
    """Return a `-W` option with its action `error`, or an abbreviation such as `err`, replaced by `default`."""
    return re.sub(r"^\s*(e|er|err|erro|error)\s*(?=:|$)", "default", option)
