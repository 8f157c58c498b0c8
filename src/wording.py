"""Formats numbers with a noun, and shortens long lists of names, for messages."""

from collections.abc import Iterable, Sequence


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, such as `1 seed` or `5 seeds`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def joined(names: Sequence[str], max_names: int = 3, conjunction: str = "and") -> str:
    """Return names as `a`, `a and b` or `a, b and c`; beyond `max_names` names, `a, b, c and 7 others`."""
    if len(names) > max_names:
        return f"{', '.join(names[:max_names])} {conjunction} {counted(len(names) - max_names, 'other')}"
    return f" {conjunction} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def shorten(items: Iterable[str], max_items: int, more_text: str = "and {:,} more") -> list[str]:
    """Return the first `max_items` items; if there are more, add `more_text` with the number of items left out."""
    items = list(items)
    return items[:max_items] + ([more_text.format(len(items) - max_items)] if len(items) > max_items else [])
