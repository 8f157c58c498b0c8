"""Refuses special characters, which word processors, web pages and Windows leave in pasted commands."""

import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence

from src.bad_input import BadInput

CONTROL_NAMES = {"\r": "a carriage return (\\r)", "\t": "a tab (\\t)", "\n": "a line break (\\n)"}
# Plain forms of quotes and the minus sign; NFKC normalisation converts full-width characters and spaces.
PLAIN = {"\N{MINUS SIGN}": "-", **dict.fromkeys("“”„‟«»″", '"'), **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")}
ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # a terminal's escape sequence, such as ESC[31m for red


def refuse_special_characters(words: Sequence[str], is_free_text: Callable[[str], bool] = lambda name: False) -> None:
    """Raise `BadInput` for the first word with a special character, such as a curved quote or a line break.

    `is_free_text` says whether the value of a key or flag is free text, such as a folder's name.  Free text and words
    without = are refused only for control characters at their ends.
    """
    for word in words:
        name, _, value = word.partition("=")
        is_plain_word = _plain_form(word[:1]) != "-" and "=" not in clean_word(word)
        free_text = value if is_free_text(name) else word if is_plain_word else ""
        special_chars = [char for char in word.removesuffix(free_text) if _plain_form(char) != char and char != "\t"]
        special_chars += [char for char in word[:1] + word[-1:] if unicodedata.category(char) == "Cc"]
        if special_chars:
            raise _character_refusal(word, special_chars[0])


def _character_refusal(word: str, character: str) -> BadInput:
    name = CONTROL_NAMES.get(character) or _character_name(character)
    explanation = ": the script has Windows line endings" if character == "\r" else ""
    clean = clean_word(word)
    problem = f"{clean or 'a word'} {'ends with' if word.endswith(character) else 'contains'} {name}{explanation}"
    words = [clean] if re.search(r"[\[({'\"]", clean) else clean.split()  # a no-break space may have joined two words
    return BadInput(problem, "plain characters", shlex.join(words), advice="" if words else "leave it out")


def clean_word(word: str) -> str:
    """Return the word with plain quotes, commas, hyphens and spaces, and without invisible characters."""
    plain = "".join(map(_plain_form, ESCAPE_SEQUENCE.sub("", word))).strip()
    return f"--{plain[1:]}" if word.startswith("—") else plain  # a word processor replaces two hyphens by a dash


def _plain_form(character: str) -> str:
    """Return the plain form of a character: "" for an invisible one, and letters of all scripts unchanged."""
    category = unicodedata.category(character or " ")
    if character.isascii() and category != "Cc":
        return character
    if category == "Pd":
        return "-"
    if category in ("Cc", "Cf"):
        return " " if character in "\t\n" else ""
    replacement = PLAIN.get(character) or unicodedata.normalize("NFKC", character)
    return " " if category in ("Zs", "Zl", "Zp") else replacement if replacement.isascii() else character


def _character_name(character: str) -> str:
    name = unicodedata.name(character, "").lower()
    if not name:
        return f"a control character ({character!r})"
    return f"{'an' if name[0] in 'aeio' else 'a'} {name} ({character})"
