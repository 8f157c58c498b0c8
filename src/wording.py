"""Formats numbers with a noun, and shortens long lists of names, for messages."""

from collections.abc import Iterable, Sequence


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, such as `1 seed` or `5 seeds`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def joined(names: Sequence[str], most: int = 3, word: str = "and") -> str:
    """Return names as `a`, `a and b` or `a, b and c`; beyond `most` names, `a, b, c and 7 others`."""
    if len(names) > most:
        others = len(names) - most
        return f"{', '.join(names[:most])} {word} {others:,} other{'' if others == 1 else 's'}"
    return f" {word} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def shorten(items: Iterable[str], most: int, rest: str = "and {:,} more") -> list[str]:
    """Return the first `most` items; if there are more, add the text `rest` with the number of items left out."""
    items = list(items)
    return items[:most] + ([rest.format(len(items) - most)] if len(items) > most else [])
