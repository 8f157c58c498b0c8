"""Words that many messages share: numbers with their noun, and lists of names that are cut short."""

from collections.abc import Iterable, Sequence


def counted(n: int, noun: str) -> str:
    """`1 seed`, `5 seeds`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def joined(names: Sequence[str], most: int = 3) -> str:
    """`a`, `a and b`, `a, b and c`; beyond `most` names, the first ones and the number of the others."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} others"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def shorten(items: Iterable[str], most: int, rest: str = "and {:,} more") -> list[str]:
    """The first `most` items, and a last one that counts the others; `rest` is its text."""
    items = list(items)
    return items[:most] + ([rest.format(len(items) - most)] if len(items) > most else [])
