"""Characters that look like a command's own and are not: word processors, web pages and Windows leave them in words.

Standard library only: a mistyped command is answered before anything heavy is imported.
"""

import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence

from src.bad_input import BadInput

CONTROLS = {"\r": "a carriage return (\\r)", "\t": "a tab (\\t)", "\n": "a line break (\\n)"}
# What was meant by a character; NFKC knows the full-width ones and the spaces.
MEANT = {"\N{MINUS SIGN}": "-", **dict.fromkeys("“”„‟«»″", '"'), **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")}
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # what a terminal takes for a colour


def refuse_pasted(words: Sequence[str], free: Callable[[str], bool] = lambda name: False) -> None:
    """Refuse the first word with a character that nobody types into a command.

    Args:
        words: the command line.
        free: whether the value of a key or flag may be any text, such as a folder's name; only control characters at
            its ends are then refused, as in a word without =.

    Raises:
        BadInput: naming the character, and the word without it.
    """
    for word in words:
        head, _, value = word.partition("=")
        if _plain(word[:1]) == "-":
            text = value if free(head) else ""  # of a flag, such as --csv=FILE
        else:
            text = value if free(head) else "" if "=" in cleaned(word) else word
        found = [char for char in word.removesuffix(text) if _plain(char) != char and char != "\t"]
        found += [character for character in word[:1] + word[-1:] if unicodedata.category(character) == "Cc"]
        if found:
            raise _refusal(word, found[0])


def _refusal(word: str, character: str) -> BadInput:
    name = CONTROLS.get(character) or _name(character)
    why = ": the script has Windows line endings" if character == "\r" else ""
    clean = cleaned(word)
    what = f"{clean or 'a word'} {'ends with' if word.endswith(character) else 'holds'} {name}{why}"
    parts = clean.split() if not re.search(r"[\[({'\"]", clean) else [clean]  # a no-break space may part two words
    return BadInput(what, "plain characters", shlex.join(parts) or "the command without it")


def cleaned(word: str) -> str:
    """A word as it was meant: plain quotes, commas, hyphens and spaces, and nothing that cannot be seen."""
    plain = "".join(map(_plain, COLOUR.sub("", word))).strip()
    return f"--{plain[1:]}" if word.startswith("—") else plain  # a word processor makes one dash of two


def _plain(character: str) -> str:
    """The plain characters that one stands for: none for one that cannot be seen, itself for a letter like others."""
    category = unicodedata.category(character or " ")
    if character.isascii() and category != "Cc":
        return character
    if category == "Pd":
        return "-"
    if category in ("Cc", "Cf"):
        return " " if character in "\t\n" else ""
    meant = MEANT.get(character) or unicodedata.normalize("NFKC", character)
    return " " if category in ("Zs", "Zl", "Zp") else meant if meant.isascii() else character


def _name(character: str) -> str:
    name = unicodedata.name(character, "").lower()
    return (
        f"{'an' if name[0] in 'aeio' else 'a'} {name} ({character})" if name else f"a control character ({character!r})"
    )
