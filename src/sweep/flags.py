"""Checks Hydra's flags: their order, which ones cannot be combined, and shell completion."""

import os
import shlex
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from src.bad_input import BadInput
from src.command import Parser, command_name, typed_path
from src.config import KEYS
from src.sweep.hydra_keys import SEARCHPATH
from src.sweep.overrides import CONF_FOLDER, is_valid_override, parse_override
from src.sweep.suggestions import Groups, closest, did_you_mean

USAGE = "[-m] [--cfg job] [--help] KEY=VALUE ..."
EXCLUSIVE_FLAGS = ("run", "multirun", "cfg", "info", "shell_completion")
SHELLS = ("bash", "fish", "zsh")
# Hydra's flags that are on or off, and its flags with a value.
SWITCHES = ("--help -h", "--hydra-help", "--resolve", "--run -r", "--multirun -m", "--shell-completion -sc")
VALUE_FLAGS = ("--package -p", "--config-path -cp", "--config-name -cn", "--config-dir -cd", "--experimental-rerun")
INFO_CHOICES = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
EXAMPLE = 'eval "$(normlab-train -sc install=bash)"'


def make_flag_parser() -> Parser:
    """Return a parser of Hydra's flags, without importing Hydra."""
    parser = Parser("train", add_help=False)
    parser.usage = f"{parser.prog} {USAGE}"
    parser.add_argument("overrides", nargs="*")
    for switch in SWITCHES:
        parser.add_argument(*switch.split(), action="store_true")
    for flag in VALUE_FLAGS:
        parser.add_argument(*flag.split())
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    parser.add_argument("--info", "-i", const="all", nargs="?", choices=INFO_CHOICES)
    return parser


def changes_command(arguments: Namespace) -> bool:
    """Whether there is a flag other than `-m`."""
    return any(value for name, value in vars(arguments).items() if name not in ("overrides", "multirun"))


def parse_flags(words: Sequence[str]) -> tuple[Namespace, list[str]]:
    """Parse flags and overrides in any order. Returns the arguments and the words in the order that Hydra needs."""
    parser = make_flag_parser()
    arguments: Namespace = parser.parse_intermixed_args(list(words))
    ordered = list(words)
    if parser.parse_known_args(ordered)[1]:  # Hydra rejects overrides on both sides of a flag
        for word in arguments.overrides:
            ordered.remove(word)
        ordered += arguments.overrides
    if arguments.config_dir:
        folder = str(typed_path(arguments.config_dir))
        ordered = [word.replace(arguments.config_dir, folder) if "~" in word else word for word in ordered]
        arguments.config_dir = folder
    return arguments, ordered


def check_flags(arguments: Namespace) -> None:
    """Raise BadInput for flags that Hydra ignores or answers with a traceback."""
    flags = [f"--{flag.replace('_', '-')}" for flag in EXCLUSIVE_FLAGS if getattr(arguments, flag)]
    if len(flags) > 1:
        words = "--cfg job" if arguments.cfg else "-m norm=bn,gn"
        raise BadInput(f"{' and '.join(flags)} cannot be combined", "one of them", f"{command_name('train')} {words}")
    if arguments.resolve and not (arguments.cfg or arguments.help):
        raise BadInput("--resolve works only with --cfg or --help", write="--cfg job --resolve")
    if arguments.package and not arguments.cfg:
        raise BadInput("--package works only with --cfg", write=f"--cfg job --package {shlex.quote(arguments.package)}")
    if arguments.hydra_help and arguments.overrides:
        problem = f"--hydra-help cannot be combined with {arguments.overrides[0]}"
        raise BadInput(problem, write="--hydra-help")
    if arguments.experimental_rerun:
        raise BadInput("--experimental-rerun is not supported", advice="repeat the command; it skips finished jobs")
    for flag, folder in (("--config-dir", arguments.config_dir), ("--config-path", main_config_folder(arguments))):
        if folder and "pkg://" not in folder and not Path(folder).is_dir():
            raise BadInput(f"{flag}: there is no folder {folder}", "an existing folder")


def main_config_folder(arguments: Namespace) -> str:
    """Return the folder of the main configuration file. A relative `--config-path` starts at the `src` folder."""
    config_path: str | None = arguments.config_path
    if config_path is None or "://" in config_path:
        return config_path or str(CONF_FOLDER)
    return str(CONF_FOLDER.parent / "src" / config_path)


def check_package(arguments: Namespace) -> None:
    """Raise BadInput, with the known parts, if `--package` names a part that the configuration does not have."""
    kind, part = arguments.cfg, arguments.package
    parts = {prefix for path in KEYS for prefix in (path, path.rpartition(".")[0]) if prefix}
    is_hydra = (part or "").split(".")[0] == "hydra"
    if part is None or part == "_global_" or (is_hydra and kind != "job") or (part in parts and kind != "hydra"):
        return
    guess = closest(part, parts)
    fix = f"--cfg {'hydra' if is_hydra else 'job'} --package {part if is_hydra or part in parts else guess or 'norm'}"
    problem = f"--cfg {kind} has no part named {part}{did_you_mean(guess if guess != part else '')}"
    raise BadInput(problem, ", ".join(sorted({path.split(".")[0] for path in parts})), fix)


def completion_words(arguments: Namespace, groups: Groups) -> list[str]:
    """Check a shell's request for completion and return the words that Hydra answers it from.

    These words include the `--config-dir` of the typed line, because Hydra's completion ignores it there.
    """
    (verb, _, shell), *extra_words = [word.partition("=") for word in arguments.overrides] or [("", "", "")]
    if extra_words or verb not in ("install", "uninstall", "query") or shell not in SHELLS:
        problem = f"--shell-completion {' '.join(arguments.overrides)}".rstrip()
        choices = ", ".join(f"install={name}" for name in SHELLS)
        raise BadInput(f"{problem} is not a known request", f"{choices}, or uninstall=SHELL", EXAMPLE)
    if verb != "query":
        if not command_name("train").startswith("normlab-"):
            problem = "tab completion works only for the command normlab-train, not for python -m src.train"
            raise BadInput(problem, write=EXAMPLE)
        return ["-sc", *arguments.overrides]
    line = os.environ.get("COMP_LINE")
    if line is None:
        raise BadInput(f"query={shell} needs the variable COMP_LINE, which the shell sets", f"install={shell}", EXAMPLE)
    typed_flags, overrides = _split_typed_line(line)
    last_word = [] if line.endswith(" ") else overrides[-1:]
    earlier_words = [word for word in overrides[: len(overrides) - len(last_word)] if _hydra_accepts_word(word, groups)]
    os.environ["COMP_LINE"] = " ".join(["normlab-train", *earlier_words, *(last_word or [""])])
    return ["-sc", *arguments.overrides, *typed_flags]


def _hydra_accepts_word(word: str, groups: Groups) -> bool:
    """Whether Hydra accepts this word of the typed line while it completes the last word."""
    try:
        override = parse_override(word, groups)
        if override.key_or_group == SEARCHPATH:
            from src.sweep.option_files import check_searchpath

            check_searchpath(override.value(), word)
    except BadInput:
        return False
    return is_valid_override(word, groups)


def _split_typed_line(line: str) -> tuple[list[str], list[str]]:
    """Return the `--config-dir` flag and the overrides of a command line that the user is still typing."""
    try:
        words = shlex.split(line)
    except ValueError:  # the user has not yet closed a quote
        words = line.split()
    start = 3 if words[1:3] == ["-m", "src.train"] else 1
    try:
        arguments, _ = parse_flags(words[start:])
    except BadInput:
        return [], [word for word in words[start:] if not word.startswith("-")]
    folder = arguments.config_dir
    return ["--config-dir", folder] if folder and Path(folder).is_dir() else [], arguments.overrides
