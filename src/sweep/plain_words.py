"""Reads plain words, such as `norm=bn,gn` and `reg.l1=1e-5`, as Hydra's parser would, without importing Hydra.

Importing Hydra takes longer than all checks of a command line together.  A word is plain if it has no quotes,
references, spaces, escapes and prefixes.  The only plain lists are those of `sweep.cells` and `compare.looks`, and the
only plain function is `range` of integers.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

# The grammar of Hydra 1.3, from hydra/grammar/OverrideLexer.g4.  `\:` is how Hydra itself writes a colon.
NAME = r"[A-Za-z_][\w-]*"
WORD = re.compile(rf"({NAME}(?:/{NAME})+|{NAME}(?:\.{NAME})*)=((?:[\w/.+%*@|,-]|\\?:)*|\[.*\]|range\(.*\))", re.ASCII)
LIST = re.compile(r'\[(?:(?:"[^"\\$\0-\x1f]+"|-?(?:0|[1-9][0-9]*))(?:,(?!\])|(?=\])))*\]')
BOUND = "(-?(?:0|[1-9][0-9]{0,17}))"
RANGE = re.compile(rf"range\({BOUND}(?:,{BOUND})?(?:,{BOUND})?\)")
DIGITS, UNSIGNED = "[0-9](?:_?[0-9])*", "(?:0|[1-9](?:_?[0-9])*)"
DECIMAL = rf"(?:{UNSIGNED}\.|{UNSIGNED}?\.{DIGITS})"
INTEGER = re.compile(rf"[+-]?{UNSIGNED}")
FLOAT = re.compile(rf"[+-]?(?:{DECIMAL}|(?:{UNSIGNED}|{DECIMAL})e[+-]?{DIGITS}|inf|nan)", re.IGNORECASE)
CONSTANTS = {"null": None, "true": True, "false": False}


@dataclass(frozen=True)
class PlainWord:
    """A plain word KEY=VALUE or KEY=A,B; its methods return the same as those of Hydra's `Override` for this word."""

    key_or_group: str
    values: Sequence[Any]
    input_line: str
    package = None
    value_type = None

    def value(self) -> Any:
        """Return the value, or all values of a sweep: a sequence, instead of Hydra's own classes."""
        return self.values if self.is_sweep_override() else self.values[0]

    def is_sweep_override(self) -> bool:
        """Whether the word is a range, or has two or more values."""
        return isinstance(self.values, range) or len(self.values) > 1

    is_discrete_sweep = is_sweep_override

    def is_interval_sweep(self) -> bool:
        """Return False: an interval is not plain."""
        return False

    is_delete = is_add = is_force_add = is_interval_sweep

    def sweep_iterator(self, transformer: Callable[[Any], Any]) -> Iterator[Any]:
        """Yield the values of a sweep, each after `transformer`."""
        yield from map(transformer, self.values)

    def sweep_string_iterator(self) -> Iterator[str]:
        """Yield the values of a sweep in Hydra's notation."""
        yield from map(_notation, self.values)

    def get_value_element_as_str(self) -> str:
        """Return the value in Hydra's notation."""
        return _notation(self.values[0])


AnyOverride: TypeAlias = "Override | PlainWord"


def parse_plain_word(word: str) -> PlainWord | None:
    """Return a plain word with its values in their types, as Hydra's parser reads them, or None for another word."""
    match = WORD.fullmatch(word)
    if not match:
        return None
    name, text = match.groups()
    try:
        if text.startswith("["):
            return PlainWord(name, (json.loads(text),), word) if LIST.fullmatch(text) else None
        if text.endswith(")"):
            numbers = RANGE.fullmatch(text)
            return PlainWord(name, range(*(int(n) for n in numbers.groups() if n)), word) if numbers else None
        texts = text.split(",")
        if len(texts) > 1 and not all(texts):  # Hydra answers an empty value with its grammar
            return None
        return PlainWord(name, tuple(map(_typed, texts)), word)
    except ValueError:  # a range with the step 0, or a number with thousands of digits
        return None


def _typed(text: str) -> Any:
    if text.lower() in CONSTANTS:
        return CONSTANTS[text.lower()]
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if FLOAT.fullmatch(text) else text.replace("\\:", ":")


def _notation(value: Any) -> str:
    """Return a value in Hydra's notation, such as 1e-05 for 0.00001."""
    if isinstance(value, list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return "null" if value is None else value.replace(":", "\\:") if isinstance(value, str) else str(value)
