"""Prints the messages and progress bars that accompany a command's results."""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")
BAR_DELAY = 2.0  # seconds before a progress bar appears
TIME_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))  # seconds in each unit


class SteadyConsole(Console):
    """A console that drops its output after its reader quits, as in `... | head -1`; rich would end the program."""

    def on_broken_pipe(self) -> None:
        """Drop all further output."""
        self.quiet = True


def progress_bar(items: Sequence[Item], description: str) -> Iterator[Item]:
    """Yield the items one by one; on a terminal, show a progress bar after two seconds."""
    console = SteadyConsole(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    started = time.monotonic()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(description, total=len(items), visible=False)
        for finished_count, item in enumerate(items):
            progress.update(task, completed=finished_count, visible=time.monotonic() - started > BAR_DELAY)
            yield item


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units, such as `2 min 5 s`."""
    seconds_left, parts = max(round(seconds), 0), []
    for size, unit in TIME_UNITS:
        if seconds_left >= size:
            parts.append(f"{seconds_left // size} {unit}")
        seconds_left %= size
    return " ".join(parts[:2]) or "0 s"


def say(line: str) -> None:
    """Print a line on the error stream."""
    SteadyConsole(stderr=True, soft_wrap=True).print(line, highlight=False, markup=False)
