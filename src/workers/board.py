"""Shows the progress of a sweep's jobs: a table on a terminal, plain lines elsewhere."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from src.console import SteadyConsole, duration_text
from src.progress import Update
from src.runs.folder import JobFolder
from src.workers.queue import Display, Outcome, Task


@dataclass
class Row:
    """A running job, its GPU if there are several, and its last update."""

    name: str
    gpu: str
    update: Update | None = None


class Board(Display):
    """Shows a row per running job and prints a line for each job that ends; use it in a `with` statement."""

    def __init__(self, job_count: int) -> None:
        self._console = SteadyConsole(file=sys.stderr)
        self.live = self._console.is_terminal
        self._job_count = job_count
        self._rows: dict[Path, Row] = {}  # by folder, because jobs may share a name
        self._ended_count = 0
        self._work_done_before = 0.0  # work that earlier commands did on these jobs; 1.0 is one whole job
        self._start_time = time.monotonic()
        self._table = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def show_start(self, task: Task, gpu: str = "") -> None:
        """Add a row for a job."""
        self._rows[task.folder] = Row(task.name, gpu)

    def show_progress(self, task: Task, update: Update) -> None:
        """Update a job's row; without a terminal, print one line per epoch."""
        row = self._rows[task.folder]
        if row.update is None:
            self._work_done_before += (update.epoch - 1) / update.epochs
        row.update = update
        if update.epoch_line and not self.live:
            self.say(f"{task.name}  {update.epoch_line}")

    def show_end(self, outcome: Outcome) -> None:
        """Replace a job's row by a line with its accuracy, or with the reason why it failed."""
        self._rows.pop(outcome.task.folder, None)
        self._ended_count += 1
        text = f"FAILED: {outcome.error}"
        if not outcome.error:
            result = JobFolder(outcome.task.folder).result()
            assert result is not None
            metrics, duration = result["metrics"], duration_text(result["seconds"]["total"])
            accuracies = f"validation {metrics['val/accuracy']:.2%}, test {metrics['test/accuracy']:.2%}"
            text = f"finished in {duration}  accuracy: {accuracies}"
        self.say(f"{outcome.task.name}  {text}")

    def say(self, line: str) -> None:
        """Print a line above the table."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def __enter__(self) -> "Board":
        if self.live:
            self._table.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._table.stop()

    def _render(self) -> RenderableType:
        number_columns = [Column(justify="right", no_wrap=True) for _ in ("epoch", "loss", "accuracy", "rate")]
        name_column = Column(no_wrap=True, overflow="ellipsis", max_width=40)
        rows = list(self._rows.values())
        gpu_column = [Column(no_wrap=True)] if any(row.gpu for row in rows) else []
        table = Table.grid(name_column, *gpu_column, Column(width=16), *number_columns, padding=(0, 2))
        for row in rows:
            names, update = [row.name, row.gpu][: 1 + len(gpu_column)], row.update
            if update is None:
                table.add_row(*names, ProgressBar(1, 0, pulse=True), "starting")
            else:
                table.add_row(
                    *names,
                    ProgressBar(1, update.share_done),
                    f"epoch {update.epoch}/{update.epochs}",
                    f"loss {update.loss:.3f}",
                    f"acc {update.accuracy:.3f}",
                    f"{update.images_per_second:,.0f} img/s",
                )
        seconds_left = self.seconds_left()
        time_left = f", about {duration_text(seconds_left)} left" if seconds_left else ""
        return Group(table, Text(f"{self._ended_count} of {self._job_count} jobs ended{time_left}"))

    def seconds_left(self) -> float | None:
        """Return the seconds until all jobs end at this command's speed so far; None until enough work is done."""
        done = self._ended_count + sum(row.update.share_done for row in self._rows.values() if row.update is not None)
        done_now, elapsed = done - self._work_done_before, time.monotonic() - self._start_time
        return elapsed / done_now * (self._job_count - done) if done_now > 0.05 and elapsed > 2 else None
