"""Hydra's flags: where they may stand, which of them belong together, and what a shell asks to complete a word."""

import os
import shlex
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser  # Hydra's own reading of the command line; there is no public one

from src.bad_input import BadInput
from src.command import Parser, command, typed_path
from src.config import KEYS
from src.sweep.option_files import SEARCHPATH, check_places
from src.sweep.overrides import CONF, is_accepted, parse
from src.sweep.suggestions import Groups, did_you_mean, nearest

USAGE = "[-m] [--cfg job] [--help] KEY=VALUE ..."
EXCLUSIVE = ("run", "multirun", "cfg", "info", "shell_completion")
SHELLS = ("bash", "fish", "zsh")
INSTALL = 'eval "$(normlab-train -sc install=bash)"'


def read(words: Sequence[str]) -> tuple[Namespace, list[str]]:
    """The flags and overrides, in whatever order they stand, and the words in the order in which Hydra takes them.

    Raises:
        BadInput: for a flag that there is not, or a value that it cannot have.
    """
    parser = Parser("train", parents=[get_args_parser()], add_help=False, conflict_handler="resolve")
    parser.usage = f"{parser.prog} {USAGE}"
    arguments: Namespace = parser.parse_intermixed_args(list(words))
    ordered = list(words)
    if parser.parse_known_args(ordered)[1]:  # overrides on both sides of a flag
        for word in arguments.overrides:
            ordered.remove(word)
        ordered += arguments.overrides
    if arguments.config_dir:
        folder = str(typed_path(arguments.config_dir))
        ordered = [word.replace(arguments.config_dir, folder) if "~" in word else word for word in ordered]
        arguments.config_dir = folder
    return arguments, ordered


def check_flags(arguments: Namespace) -> None:
    """Refuse flags that Hydra answers with a traceback, or leaves unread.

    Raises:
        BadInput: naming them.
    """
    commands = [f"--{flag.replace('_', '-')}" for flag in EXCLUSIVE if getattr(arguments, flag)]
    if len(commands) > 1:
        way_on = "--cfg job" if arguments.cfg else "-m norm=bn,gn"
        raise BadInput(f"{' and '.join(commands)} exclude each other", "one of them", f"{command('train')} {way_on}")
    if arguments.resolve and not (arguments.cfg or arguments.help):
        raise BadInput("--resolve belongs to --cfg", write="--cfg job --resolve")
    if arguments.package and not arguments.cfg:
        raise BadInput("--package belongs to --cfg", write=f"--cfg job --package {shlex.quote(arguments.package)}")
    if arguments.hydra_help and arguments.overrides:
        raise BadInput(f"--hydra-help shows Hydra's help, and not {arguments.overrides[0]}", write="--hydra-help")
    if arguments.experimental_rerun:
        raise BadInput("--experimental-rerun is not supported", write="the command again: finished jobs are kept")
    for flag, folder in (("--config-dir", arguments.config_dir), ("--config-path", main_folder(arguments))):
        if folder and "pkg://" not in folder and not Path(folder).is_dir():
            raise BadInput(f"{flag}: there is no folder {folder}", "an existing folder", f"{flag} FOLDER")


def main_folder(arguments: Namespace) -> str:
    """Where the primary configuration stands; Hydra takes a relative `--config-path` from the command's module on."""
    given: str | None = arguments.config_path
    if given is None or "://" in given:
        return given or str(CONF)
    return str(CONF.parent / "src" / given)


def check_package(arguments: Namespace) -> None:
    """Refuse to show a part that the configuration does not have.

    Raises:
        BadInput: with those that there are.
    """
    shown, part = arguments.cfg, arguments.package
    parts = {prefix for path in KEYS for prefix in (path, path.rpartition(".")[0]) if prefix}
    of_hydra = (part or "").split(".")[0] == "hydra"
    if part is None or part == "_global_" or (of_hydra and shown != "job") or (part in parts and shown != "hydra"):
        return
    near = nearest(part, parts)
    write = f"--cfg {'hydra' if of_hydra else 'job'} --package {part if of_hydra or part in parts else near or 'norm'}"
    what = f"--cfg {shown} has no part {part}{did_you_mean([near] if near and near != part else [])}"
    raise BadInput(what, ", ".join(sorted({path.split(".")[0] for path in parts})), write)


def complete(arguments: Namespace, groups: Groups) -> list[str]:
    """Make ready what a shell wants to know, and return the words that Hydra answers it from.

    Hydra looks for options in the folders that its own words name, and not in those of the line to complete.

    Raises:
        BadInput: for an unknown shell, or a word that is not a shell's.
    """
    (verb, _, shell), *more = [word.partition("=") for word in arguments.overrides] or [("", "", "")]
    if more or verb not in ("install", "uninstall", "query") or shell not in SHELLS:
        what = f"--shell-completion {' '.join(arguments.overrides)}".rstrip()
        choices = ", ".join(f"install={name}" for name in SHELLS)
        raise BadInput(f"{what} installs nothing", f"{choices}; uninstall=... likewise", INSTALL)
    if verb != "query":
        if not command("train").startswith("normlab-"):
            raise BadInput("a shell completes normlab-train, and not python -m", "normlab-train", INSTALL)
        return ["-sc", *arguments.overrides]
    line = os.environ.get("COMP_LINE")
    if line is None:
        raise BadInput(f"query={shell} is what a shell asks, in COMP_LINE", f"install={shell}", INSTALL)
    flags, overrides = _line(line)
    last = [] if line.endswith(" ") else overrides[-1:]
    before = [word for word in overrides[: len(overrides) - len(last)] if _is_usable(word, groups)]
    os.environ["COMP_LINE"] = " ".join(["normlab-train", *before, *(last or [""])])
    return ["-sc", *arguments.overrides, *flags]


def _is_usable(word: str, groups: Groups) -> bool:
    """Whether Hydra can take a word into account where it completes another one."""
    try:
        override = parse(word, groups)
        if override.key_or_group == SEARCHPATH:
            check_places(override.value(), word)
    except BadInput:
        return False
    return is_accepted(word, groups)


def _line(line: str) -> tuple[list[str], list[str]]:
    """The flag that names a folder, and the overrides, of a line that is still being typed."""
    try:
        words = shlex.split(line)
    except ValueError:  # a quote that is still open
        words = line.split()
    start = 3 if words[1:2] == ["-m"] and words[2:3] == ["src.train"] else 1
    try:
        arguments, _ = read(words[start:])
    except BadInput:
        return [], [word for word in words[start:] if not word.startswith("-")]
    folder = arguments.config_dir
    return ["--config-dir", folder] if folder and Path(folder).is_dir() else [], arguments.overrides
