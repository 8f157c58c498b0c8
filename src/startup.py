"""Set up a command's process before it does anything else."""

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

from src.bad_input import out_of_memory
from src.standard_streams import steady_output

LEAST_ADDRESSES = 600_000_000  # bytes of address space; comparing and syncing both fail with less
COLLECT_AFTER = 100_000  # new objects; Python's own threshold is 700 or 2,000


def prepare_process() -> None:
    """Make output steady, slow the garbage collector down, and ignore the settings of other programs.

    Call it before any thread starts.  Child processes inherit the environment variables that it sets.
    """
    steady_output()
    # A command imports 300,000 objects that live until its end.  Collecting among them takes a quarter of the
    # import time and 0.8 s at exit.
    gc.set_threshold(COLLECT_AFTER)
    atexit.register(gc.freeze)
    if "ipykernel" not in sys.modules:  # a notebook keeps its settings
        _print_warnings()
        _ignore_matplotlib_settings()


def check_address_space() -> None:
    """Raise `BadInput` if `ulimit -v` is too small to load the libraries; some of them would end the process."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < LEAST_ADDRESSES:
        raise out_of_memory()


def docstring(file: str) -> str:
    """The docstring in a module's file; `PYTHONOPTIMIZE=2` removes it from the imported module."""
    return ast.get_docstring(ast.parse(Path(file).read_text(encoding="utf-8"))) or ""


def _ignore_matplotlib_settings() -> None:
    os.environ.pop("MPLBACKEND", None)  # Jupyter sets it for every command that a notebook runs
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns when the home folder is read-only
    os.environ["MATPLOTLIBRC"] = os.devnull  # takes precedence over the file in the user's configuration folder
    if Path("matplotlibrc").exists():  # takes precedence over the variable; a damaged file breaks the import
        here = Path.cwd()
        os.chdir(Path(os.devnull).parent)
        try:
            import matplotlib  # noqa: F401  # reads its settings once, at its first import
        finally:
            os.chdir(here)


def _print_warnings() -> None:
    """Print the warnings that `PYTHONWARNINGS=error` or `-W error` would raise: they must not end a sweep."""
    if [*map(_printed, sys.warnoptions)] == sys.warnoptions:
        return
    # multiprocessing passes these options to its processes and removes "error::BytesWarning" of `python -bb` by name.
    sys.warnoptions[:] = [option if option == "error::BytesWarning" else _printed(option) for option in sys.warnoptions]
    if "PYTHONWARNINGS" in os.environ:
        os.environ["PYTHONWARNINGS"] = ",".join(map(_printed, os.environ["PYTHONWARNINGS"].split(",")))
    filters: list[tuple[object, ...]] = warnings.filters  # type: ignore[assignment]  # typeshed hides that it is a list
    filters[:] = [("default", *rest) if action == "error" else (action, *rest) for action, *rest in filters]
    warnings.simplefilter("default", append=True)  # makes the module read the changed filters


def _printed(option: str) -> str:
    """A `-W` option with the action `default` in place of `error`, which may be abbreviated."""
    return re.sub(r"^\s*(e|er|err|erro|error)\s*(?=:|$)", "default", option)
