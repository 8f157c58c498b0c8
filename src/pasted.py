"""Refuse characters that look like plain ones; word processors, web pages and Windows leave them in pasted commands."""

import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence

from src.bad_input import BadInput

CONTROLS = {"\r": "a carriage return (\\r)", "\t": "a tab (\\t)", "\n": "a line break (\\n)"}
# The plain form of a character; NFKC knows it for full-width characters and spaces.
MEANT = {"\N{MINUS SIGN}": "-", **dict.fromkeys("“”„‟«»″", '"'), **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")}
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # a terminal's escape sequence


def refuse_pasted(words: Sequence[str], free: Callable[[str], bool] = lambda name: False) -> None:
    """Raise `BadInput` for the first word with a character that no keyboard types into a command.

    `free` says whether a key or flag takes any text, such as the name of a folder.  Such a value, and a word without =,
    is refused only for control characters at its ends.
    """
    for word in words:
        head, _, value = word.partition("=")
        is_text = _plain(word[:1]) != "-" and "=" not in cleaned(word)
        text = value if free(head) else word if is_text else ""
        special = [char for char in word.removesuffix(text) if _plain(char) != char and char != "\t"]
        special += [char for char in word[:1] + word[-1:] if unicodedata.category(char) == "Cc"]
        if special:
            raise _refusal(word, special[0])


def _refusal(word: str, character: str) -> BadInput:
    name = CONTROLS.get(character) or _name(character)
    why = ": the script has Windows line endings" if character == "\r" else ""
    clean = cleaned(word)
    what = f"{clean or 'a word'} {'ends with' if word.endswith(character) else 'contains'} {name}{why}"
    parts = [clean] if re.search(r"[\[({'\"]", clean) else clean.split()  # a no-break space may separate two words
    return BadInput(what, "plain characters", shlex.join(parts) or "the command without it")


def cleaned(word: str) -> str:
    """The word with plain quotes, commas, hyphens and spaces, and without invisible characters."""
    plain = "".join(map(_plain, COLOUR.sub("", word))).strip()
    return f"--{plain[1:]}" if word.startswith("—") else plain  # a word processor turns two hyphens into one dash


def _plain(character: str) -> str:
    """The plain form of a character: nothing for an invisible one, itself for a letter of any script."""
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
    if not name:
        return f"a control character ({character!r})"
    return f"{'an' if name[0] in 'aeio' else 'a'} {name} ({character})"
