"""The names, parser, paths and versions of the three commands. It loads only the standard library."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, NoReturn

from src.bad_input import BadInput, out_of_memory_refusal
from src.pasted import refuse_special_characters

PROJECT = Path(__file__).resolve().parents[1]
MULTIRUN = Path("multirun")  # the folder of all jobs and sweeps, in the current folder
PACKAGES = ("normlab", "hydra-core", "torch", "mlflow")  # `--version` prints their versions


def command_name(module: str) -> str:
    """Return how to run a command: `normlab-train` if the user typed `normlab-...`, else `python -m src.train`."""
    return f"normlab-{module}" if PurePath(sys.argv[0]).stem.startswith("normlab-") else f"python -m src.{module}"


def versions_text() -> str:
    """Return one line per package with its version, without importing the packages."""
    import importlib.metadata

    lines = []
    for name in PACKAGES:
        try:
            lines.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{name} is not installed")
    return "\n".join(lines)


def check_current_folder() -> None:
    """Raise `BadInput` if the current folder has been deleted."""
    try:
        Path.cwd()
    except OSError as error:
        problem = f"the current folder cannot be used: {error.strerror}"
        raise BadInput(problem, "a folder that exists", f"cd {shlex.quote(str(Path.home()))}") from error


def as_refusal(error: BadInput | MemoryError | ModuleNotFoundError) -> BadInput:
    """Return the refusal that explains an error to the user.

    A package is missing if normlab is not installed, often because no virtual environment is active.  If the package
    exists and lacks a module, or if its import is blocked, the error is raised again.
    """
    if isinstance(error, BadInput):
        return error
    if isinstance(error, MemoryError):
        return out_of_memory_refusal()
    import importlib.util

    package = (error.name or "").partition(".")[0]
    if not package or package in sys.modules or importlib.util.find_spec(package):
        raise error
    return BadInput(
        f"{sys.executable} has no package {package}",
        "a Python with normlab and its packages, such as that of a virtual environment that you activate",
        f"{shlex.quote(sys.executable)} -m pip install -e {shlex.quote(str(PROJECT))}",
    )


def typed_path(text: str) -> Path:
    """Return a path with `~` expanded (no shell does so in `--csv=~/t.csv`). Raises `BadInput` for an unknown user."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{text}: there is no user of this name", "~/FILE for a file in your home folder") from error


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `BadInput` instead of printing its usage and exiting."""

    def __init__(self, module: str, docstring: str = "", **settings: Any) -> None:
        """Create the parser of `src.<module>`. `docstring` is the module's; it becomes the help."""
        about, _, examples = docstring.replace(f"python -m src.{module}", command_name(module)).partition("\n\n")
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(command_name(module), description=about, epilog=examples, formatter_class=layout, **settings)
        self.add_argument("--version", action=_Versions, nargs=0, help="print the versions and exit")

    def parse_args(self, words: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]  # argparse overloads it for namespaces of other types
        """Return the arguments' values. Raises `BadInput` for an unknown argument or a special pasted character."""
        words = sys.argv[1:] if words is None else words
        refuse_special_characters(words, lambda name: True)
        return super().parse_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise `BadInput` with argparse's message; argparse calls this method."""
        raise BadInput(message, write=f"{self.prog} --help")


class _Versions(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(versions_text())
        parser.exit()
