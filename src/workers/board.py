"""The jobs of a sweep while they run: a table on a terminal, plain lines elsewhere."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from src.console import SteadyConsole, in_words
from src.runs.folder import JobFolder

if TYPE_CHECKING:
    from src.progress import Update
    from src.workers.processes import Outcome, Task


class Board:
    """Shows a line for each running job, and one for each that has ended; a context manager."""

    def __init__(self, jobs: int) -> None:
        self._console = SteadyConsole(file=sys.stderr)
        self.live = self._console.is_terminal
        self._jobs = jobs
        self._running: dict[Path, tuple[str, Update | None]] = {}  # by folder: names can be alike
        self._ended = 0
        self._before = 0.0  # jobs' worth of steps that an earlier command has done
        self._started = time.monotonic()
        self._table = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def begin(self, task: "Task") -> None:
        """A job begins."""
        self._running[task.folder] = task.name, None

    def report(self, task: "Task", report: "Update") -> None:
        """A job has come further."""
        _, last = self._running[task.folder]
        if last is None:
            self._before += (report.epoch - 1) / report.epochs
        self._running[task.folder] = task.name, report
        if report.line and not self.live:
            self.say(report.line)

    def end(self, outcome: "Outcome") -> None:
        """A job has ended: a line stays."""
        self._running.pop(outcome.task.folder, None)
        self._ended += 1
        self.say(f"{outcome.task.name}  FAILED: {outcome.error}" if outcome.error else finished_line(outcome))

    def say(self, line: str) -> None:
        """A line above the table."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def __enter__(self) -> "Board":
        if self.live:
            self._table.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._table.stop()

    def _render(self) -> RenderableType:
        numbers = [Column(justify="right", no_wrap=True) for _ in ("epoch", "loss", "accuracy", "rate")]
        name_column = Column(no_wrap=True, overflow="ellipsis", max_width=40)
        table = Table.grid(name_column, Column(width=16), *numbers, padding=(0, 2))
        for name, report in list(self._running.values()):
            if report is None:
                table.add_row(name, ProgressBar(1, 0, pulse=True), "starting")
            else:
                table.add_row(
                    name,
                    ProgressBar(1, report.done),
                    f"epoch {report.epoch}/{report.epochs}",
                    f"loss {report.loss:.3f}",
                    f"acc {report.accuracy:.3f}",
                    f"{report.rate:,.0f} img/s",
                )
        left = self.seconds_left()
        words = [f"{self._ended} of {self._jobs} jobs ended", *([f"about {in_words(left)} left"] if left else [])]
        return Group(table, Text(", ".join(words)))

    def seconds_left(self) -> float | None:
        """Seconds until all have ended, if the rest goes as what was done since the start; None before that tells."""
        done = self._ended + sum(report.done for _, report in self._running.values() if report is not None)
        here, spent = done - self._before, time.monotonic() - self._started
        return spent / here * (self._jobs - done) if here > 0.05 and spent > 2 else None


def finished_line(outcome: "Outcome") -> str:
    """What a finished job has come to."""
    result = JobFolder(outcome.task.folder).result()
    assert result is not None
    metrics, seconds = result["metrics"], result["seconds"]["total"]
    accuracy = f"val {metrics['val/accuracy']:.2%}  test {metrics['test/accuracy']:.2%}"
    return f"{outcome.task.name}  finished in {in_words(seconds)}  {accuracy}"
