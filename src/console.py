"""Where a command speaks, and where it shows that it is busy."""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")
SOON = 2.0  # seconds after which a wait is shown
UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


class SteadyConsole(Console):
    """A console whose reader may go away, as in `... | head -1`: it falls silent, and the work goes on."""

    def on_broken_pipe(self) -> None:
        """Say no more; rich would end the program instead."""
        self.quiet = True


def patiently(items: Sequence[Item], doing: str) -> Iterator[Item]:
    """The items one by one; on a terminal a bar shows how far one is, once it has taken a while."""
    console = SteadyConsole(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    began = time.monotonic()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(doing, total=len(items), visible=False)
        for done, item in enumerate(items):
            progress.update(task, completed=done, visible=time.monotonic() - began > SOON)
            yield item


def in_words(seconds: float) -> str:
    """A length of time in its two largest units, such as `2 min 5 s`."""
    rest, words = max(round(seconds), 0), []
    for size, unit in UNITS:
        if rest >= size:
            words.append(f"{rest // size} {unit}")
        rest %= size
    return " ".join(words[:2]) or "0 s"


def say(line: str) -> None:
    """A line for who looks on, beside the results."""
    SteadyConsole(stderr=True, soft_wrap=True).print(line, highlight=False, markup=False)
