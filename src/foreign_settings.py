"""Settings of the user's other programs, kept from changing or ending what a command does."""

import ast
import logging
import os
import resource
import sys
import warnings
from pathlib import Path

from src.bad_input import out_of_memory

LEAST_ADDRESSES = 600_000_000  # bytes; neither comparing nor syncing works with less


def ignore_foreign_settings() -> None:
    """Ignore matplotlib's settings, and print warnings where Python was told to raise them; call before any thread.

    The variables also hold for the processes that this one starts.  A notebook's own process keeps its settings.
    """
    if "ipykernel" in sys.modules:
        return
    _print_warnings()
    os.environ.pop("MPLBACKEND", None)  # Jupyter sets one for every command that a notebook runs
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns of a home folder that it cannot write
    os.environ["MATPLOTLIBRC"] = os.devnull  # goes before the file in the user's configuration folder
    if Path("matplotlibrc").exists():  # matplotlib reads it first, and its import fails where the file is harmed
        here = Path.cwd()
        os.chdir(Path(os.devnull).parent)
        try:
            import matplotlib  # noqa: F401  # reads its settings once, at its first import
        finally:
            os.chdir(here)


def check_address_space() -> None:
    """Refuse a `ulimit -v` under which the libraries cannot even be loaded; some would end the process themselves.

    Raises:
        BadInput: with what suffices.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < LEAST_ADDRESSES:
        raise out_of_memory()


def docstring(file: str) -> str:
    """The docstring of a module's file, which `PYTHONOPTIMIZE=2` drops from the module itself."""
    return ast.get_docstring(ast.parse(Path(file).read_text(encoding="utf-8"))) or ""


def _print_warnings() -> None:
    """Print what `PYTHONWARNINGS=error` or `-W error` raises: a library's warning must not end a sweep."""
    if not any(map(_raises, sys.warnoptions)):
        return
    # A process that multiprocessing starts gets these; it takes the option of `python -bb` out by this very name.
    sys.warnoptions[:] = [option if option == "error::BytesWarning" else _printed(option) for option in sys.warnoptions]
    if "PYTHONWARNINGS" in os.environ:
        os.environ["PYTHONWARNINGS"] = ",".join(map(_printed, os.environ["PYTHONWARNINGS"].split(",")))
    filters: list[tuple[object, ...]] = warnings.filters  # type: ignore[assignment]  # typeshed hides that it is a list
    filters[:] = [("default", *rest) if action == "error" else (action, *rest) for action, *rest in filters]
    warnings.simplefilter("default", append=True)  # the module notices the new filters


def _raises(option: str) -> bool:
    """Whether an option of `-W` is `error`, which may be abbreviated."""
    action = option.partition(":")[0].strip()
    return bool(action) and "error".startswith(action)


def _printed(option: str) -> str:
    """An option of `-W` with `default` in place of `error`."""
    _, colon, rest = option.partition(":")
    return f"default{colon}{rest}" if _raises(option) else option
