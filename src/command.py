"""What all three commands share: the name that the user typed, their parser, their paths and their versions.

Standard library only: a mistyped command is answered before anything heavy is imported.
"""

import argparse
import importlib.metadata
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, NoReturn

from src.bad_input import BadInput
from src.pasted import refuse_pasted

PACKAGES = ("normlab", "hydra-core", "torch", "mlflow")  # whose versions `--version` prints


def command(module: str) -> str:
    """How the user types one of the commands: `normlab-train` after `normlab-...`, else `python -m src.train`."""
    return f"normlab-{module}" if PurePath(sys.argv[0]).stem.startswith("normlab-") else f"python -m src.{module}"


def versions() -> str:
    """A line for each package with its version; none of them is imported."""
    lines = []
    for name in PACKAGES:
        try:
            lines.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{name} is not installed")
    return "\n".join(lines)


def check_current_folder() -> None:
    """Refuse to work in a folder that somebody has deleted.

    Raises:
        BadInput: with the way out.
    """
    try:
        Path.cwd()
    except OSError as error:
        what = f"the current folder cannot be used: {error.strerror}"
        raise BadInput(what, "a folder that exists", f"cd {shlex.quote(str(Path.home()))}") from error


def typed_path(text: str) -> Path:
    """A path as the user means it: `~` is the home folder also where no shell expands it, as in `--csv=~/t.csv`.

    Raises:
        BadInput: for the home folder of a user who does not exist.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{text}: there is no such user", "~/FILE for your own home folder") from error


class Parser(argparse.ArgumentParser):
    """Refuses a wrong word in three lines, where argparse prints its usage."""

    def __init__(self, module: str, text: str | None = None, **settings: Any) -> None:
        """A parser for `src.<module>`, whose help is the module's docstring `text`, with the name that was typed."""
        about, _, examples = (text or "").replace(f"python -m src.{module}", command(module)).partition("\n\n")
        look = argparse.RawDescriptionHelpFormatter
        super().__init__(command(module), description=about, epilog=examples, formatter_class=look, **settings)
        self.add_argument("--version", action=_Versions, nargs=0, help="print the versions and exit")

    def parse_args(self, words: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]  # argparse overloads it for namespaces of other types
        """The words' values.

        Raises:
            BadInput: for a word that the command does not know, or that holds a character pasted by mistake.
        """
        words = sys.argv[1:] if words is None else words
        refuse_pasted(words, lambda name: True)
        return super().parse_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Argparse's call for a wrong word."""
        raise BadInput(message, write=f"{self.prog} --help")


class _Versions(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(versions())
        parser.exit()
