"""The one answer to what cannot be done."""

LONGEST_LINE = 300  # characters


class BadInput(Exception):
    """What the user asked for cannot be done.  Told in at most three lines before anything runs; exit status 2."""

    def __init__(self, what: str, allowed: str = "", write: str = "") -> None:
        lines = {"normlab": what, "  allowed": allowed, "  write": write}
        super().__init__("\n".join(f"{head}: {_one_line(text)}" for head, text in lines.items() if text))


def _one_line(text: str) -> str:
    """A text as it is shown: what was typed can hold line breaks and thousands of characters."""
    line = " ".join(text.splitlines())
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 4]} ..."
