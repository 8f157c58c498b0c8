"""The refusal of a command that cannot work."""

import re
import shlex

LONGEST_LINE = 300  # characters
# The part of an address before its @; in a file's path an @ is an ordinary character.
USER = re.compile(r"(?<![\w.+-])(?!(?:sqlite|file)[\w.+-]*:///)([A-Za-z][\w.+-]*:/{2,})\S*@")
QUERY = re.compile(r"(?<=[?&;])(user\w*|uid|\w*pass\w*|\w*pwd|\w*token|\w*secret|\w*key|odbc_connect)=[^&\s]*", re.I)


class BadInput(Exception):
    """Refuses a command before it runs anything: at most three lines, and exit status 2."""

    def __init__(self, what: str, allowed: str = "", write: str = "") -> None:
        self._parts = what, allowed, write
        lines = {"normlab": what, "  allowed": allowed, "  write": write}
        super().__init__("\n".join(f"{head}: {_one_line(text)}" for head, text in lines.items() if text))

    def within(self, place: str) -> "BadInput":
        """The same refusal with the place of the mistake in the command."""
        what, allowed, write = self._parts
        return BadInput(f"{place}: {what}", allowed, write.removeprefix("-m "))

    def writing(self, write: str) -> "BadInput":
        """The same refusal with another correction."""
        what, allowed, _ = self._parts
        return BadInput(what, allowed, write)


def as_one_word(name: str, value: str) -> str:
    """The override `name=value`, quoted for both Hydra and the shell."""
    quoted = re.sub(r'(\\*)("|$)', lambda match: match[1] * 2 + ('\\"' if match[2] else ""), value)  # Hydra's escapes
    return shlex.quote(f'{name}="{quoted}"')


def masked(text: str) -> str:
    """The text with `***` for the user name and password of each address in it, before an @ or in a query."""
    return QUERY.sub(r"\1=***", USER.sub(r"\1***@", text))


def out_of_memory() -> BadInput:
    """The refusal of a command that has too little memory."""
    return BadInput("memory has run out", "2 GB to compare and to sync, 4 GB to train", "ulimit -v unlimited")


def _one_line(text: str) -> str:
    """The text without passwords and line breaks, cut to `LONGEST_LINE`."""
    line = " ".join(masked(text).splitlines())
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 105]} ... {line[-100:]}"
