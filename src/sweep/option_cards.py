"""Answers questions about options: 'norm=?' lists the norms, and 'norm=gn?' shows the card of one.

A card is the comment at the top of the option's YAML file, its keys, and the docstring of its class.  The first
paragraph of the docstring is left out, because the comment says the same.
"""

import importlib.resources
import inspect
import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.bad_input import BadInput
from src.command import command_name
from src.config import OPTIONS
from src.storage.stored import DamagedFile, read_stored
from src.sweep.overrides import CONF_FOLDER
from src.sweep.suggestions import GROUP_NODES, PRESET_GROUPS, Groups, closest, did_you_mean

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader

QUESTION = re.compile(r"(\w+)=([^?,]*)\?")
KEY_LINE = re.compile(r"(\w+): *([^#\s]\S*) *(?:# *(.*))?")  # such as `eps: 1e-5   # added to the variance`
LARGEST_FILE = 2**20  # bytes
NARROWEST, WIDEST = 60, 100  # columns


def is_question(word: str, groups: Groups) -> bool:
    """Whether a word asks for the options of a group (`norm=?`) or for the card of one option (`norm=gn?`)."""
    match = QUESTION.fullmatch(word)
    return match is not None and match[1] in groups


def answer(question: str, groups: Groups, loader: "ConfigLoader | None" = None) -> str:
    """Return the answer to a question; `loader` finds the options in the user's folders.

    Raises BadInput for an unknown option, and for an option's file that cannot be read.
    """
    group, _, option = question.removesuffix("?").partition("=")
    width = max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))
    if not option:
        return _list_options(group, groups[group], loader, width)
    if option not in groups[group]:
        guess = closest(option, groups[group])
        problem = f"{group}={option} is not known{did_you_mean(guess)}"
        raise BadInput(problem, ", ".join(groups[group]), f"'{group}={guess or ''}?'")
    return _card(group, option, _read_lines(group, option, loader), width)


def _list_options(group: str, options: Sequence[str], loader: "ConfigLoader | None", width: int) -> str:
    """Return one line per option, with the first line of its file's comment, or its keys if it has no comment."""
    name_width = max(map(len, options))
    lines = []
    for option in options:
        comment, body = _split_comment(_read_lines(group, option, loader))
        text = textwrap.shorten(comment[0] if comment else ", ".join(body), width - name_width - 4, placeholder=" ...")
        lines.append(f"  {option:<{name_width}}  {text}".rstrip())
    example = f"{command_name('train')} '{group}={options[0]}?'"
    return "\n".join([f"The options of {group}:", *lines, f"To read about one option, type {example}"])


def _card(group: str, option: str, lines: Sequence[str], width: int) -> str:
    """Return the comment, the keys and the docstring of an option, with empty lines between them."""
    comment, body = _split_comment(lines)
    name = next((match[2] for line in body if (match := KEY_LINE.fullmatch(line)) and match[1] == "name"), option)
    blocks = [f"{group}={option}", _wrap(comment, width), _key_lines(group, body, width)]
    kind: Any = OPTIONS.get(group, {}).get(name)
    if kind:
        blocks.append(_wrap(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[2].splitlines(), width))
    if kind and group == "model":
        rates = ", ".join(f"{rate:g} with {optimizer}" for optimizer, rate in kind.learning_rates.items())
        sizes = f"It accepts images of {kind().sizes_text()}."
        defaults = f"By default, it trains {kind.epochs} epochs, and the peak learning rate is {rates}."
        blocks.append(_wrap([sizes, defaults], width))
    return "\n\n".join(filter(None, blocks))


def _key_lines(group: str, body: Iterable[str], width: int) -> str:
    """Return the lines of an option's file below its comment, with each key as the user types it."""
    lines: list[str] = []
    for line in body:
        if lines and "#" in lines[-1] and (continued := re.fullmatch(r" +# *(.*)", line)):
            lines[-1] += f" {continued[1]}"
        elif not line.startswith("name:"):
            lines.append(line)
    prefix = "" if group in PRESET_GROUPS else f"{GROUP_NODES.get(group, group)}."
    matches = [(line, KEY_LINE.fullmatch(line)) for line in lines]
    words = [f"{prefix}{match[1]}={match[2]}" if match else "" for _, match in matches]
    word_width = min(max(map(len, words), default=0), width // 2)
    texts = []
    for word, (line, match) in zip(words, matches, strict=True):
        start = f"  {word:<{word_width}}  "
        comment = textwrap.fill(start + (match[3] or ""), width, subsequent_indent=" " * len(start)) if match else ""
        texts.append((comment or f"  {line}").rstrip())
    return "\n".join(texts)


def _wrap(lines: Iterable[str], width: int) -> str:
    """Return lines with their paragraphs and list items wrapped at `width` columns; other indented lines stay."""
    blocks: list[list[str]] = []
    for line in lines:
        previous = blocks[-1][0] if blocks else ""
        if (_is_prose(line) and _is_prose(previous)) or (line.startswith("  ") and previous.startswith("- ")):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    texts = []
    for block in blocks:
        indent = "  " if block[0].startswith("- ") else ""
        text = " ".join(" ".join(block).split())
        stays = not (indent or _is_prose(block[0]))
        texts.append(block[0] if stays else textwrap.fill(text, width, subsequent_indent=indent))
    return "\n".join(texts)


def _is_prose(line: str) -> bool:
    return bool(line) and not line.startswith((" ", "- "))


def _split_comment(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the lines of the comment at the top of an option's file, without #, and the other lines."""
    lines = [line for line in lines if not line.startswith("# @package")]
    length = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line.removeprefix("#").removeprefix(" ") for line in lines[:length]], lines[length:]


def _read_lines(group: str, option: str, loader: "ConfigLoader | None") -> list[str]:
    """Return the lines of an option's file."""
    name, folder = f"{group}/{option}", CONF_FOLDER
    sources = loader.get_sources() if loader else []
    source = next((source for source in sources if source.scheme() in ("file", "pkg") and source.is_config(name)), None)
    if source:
        is_package = source.scheme() == "pkg"
        folder = Path(str(importlib.resources.files(source.path.replace("/", "."))) if is_package else source.path)
    path = folder / f"{name}.yaml"
    try:
        return read_stored(path, LARGEST_FILE).decode(errors="replace").splitlines()
    except (DamagedFile, FileNotFoundError) as error:
        raise BadInput(f"{path} cannot be read", "a YAML file") from error
