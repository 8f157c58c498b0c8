"""Refuses commands that cannot work, and hides passwords in messages."""

import re
import shlex

LONGEST_LINE = 300  # number of characters; a longer line of an error message is shortened
# Matches an address up to its last @, except in sqlite:/// and file:/// addresses, whose paths may contain an @.
LOGIN = re.compile(r"(?<![\w.+-])(?!(?:sqlite|file)[\w.+-]*:///)([A-Za-z][\w.+-]*:/{2,})\S*@")
# Matches NAME=VALUE in an address's query if NAME usually holds a user name or a secret.
SECRET = re.compile(r"(?<=[?&;])(user\w*|uid|\w*pass\w*|\w*pwd|\w*token|\w*secret|\w*key|odbc_connect)=[^&\s]*", re.I)


class BadInput(Exception):
    """Refuses a command before it runs anything, with a message of at most three lines and exit status 2."""

    def __init__(self, problem: str, allowed: str = "", write: str = "", *, advice: str = "") -> None:
        self._parts = problem, allowed, write, advice  # `write` is text to type; `advice` is an instruction instead
        lines = {"normlab": problem, "  allowed": allowed, "  write": write, "  try": advice}
        super().__init__("\n".join(f"{head}: {_one_line(text)}" for head, text in lines.items() if text))

    def with_location(self, location: str) -> "BadInput":
        """Return this refusal with the location of the mistake in front."""
        problem, allowed, write, advice = self._parts
        return BadInput(f"{location}: {problem}", allowed, write.removeprefix("-m "), advice=advice)

    def with_correction(self, write: str) -> "BadInput":
        """Return this refusal with the correction `write` as its last line."""
        problem, allowed, *_ = self._parts
        return BadInput(problem, allowed, write)


def as_one_word(name: str, value: str) -> str:
    """Return the override `name=value` as one shell word, with quotes for both Hydra and the shell."""
    quoted = re.sub(r'(\\*)("|$)', lambda match: match[1] * 2 + ('\\"' if match[2] else ""), value)  # Hydra's escapes
    return shlex.quote(f'{name}="{quoted}"')


def redact(text: str) -> str:
    """Return the text with `***` instead of user names and passwords in addresses, before an @ or in a query."""
    return SECRET.sub(r"\1=***", LOGIN.sub(r"\1***@", text))


def out_of_memory_refusal() -> BadInput:
    """Return the refusal of a command that has too little memory."""
    return BadInput("memory ran out", "at least 2 GB to compare or sync, 4 GB to train", "ulimit -v unlimited")


def _one_line(text: str) -> str:
    """Return the text without passwords and line breaks, cut to `LONGEST_LINE` characters."""
    line = " ".join(redact(text).splitlines())
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 105]} ... {line[-100:]}"
