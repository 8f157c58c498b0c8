"""What a job shows while it trains: a bar on a terminal, a plain line an epoch elsewhere."""

import logging
import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column
from torch import Tensor

from src.console import SteadyConsole

log = logging.getLogger(__name__)

REFRESH = 0.5  # seconds between two looks at the loss, each of which waits for the device


class Progress:
    """One job's progress; a context manager."""

    def __init__(self, name: str, epochs: int, steps: int, batch_size: int) -> None:
        self._name, self._epochs, self._steps, self._batch_size = name, epochs, steps, batch_size
        console = SteadyConsole(file=sys.stderr)
        self._bar = Bar(
            TextColumn("{task.description}", table_column=Column(max_width=16, no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._plain = not console.is_terminal
        self._task = self._bar.add_task(name, total=epochs * steps, state="")
        self._epoch = 1
        self._looked = time.perf_counter()  # when the loss was read last, or the epoch began
        self._seen = 0  # steps done then

    def step(self, step: int, history: Tensor) -> None:
        """Tell that a step, counted from 0, is done; `history` holds loss, penalty and hits of each (steps, 3)."""
        now = time.perf_counter()
        if self._plain or now - self._looked < REFRESH:
            return
        done = step + 1
        loss, _, hits = history[max(done - 50, 0) : done].mean(dim=0).tolist()
        total = (self._epoch - 1) * self._steps + done
        rate = (total - self._seen) * self._batch_size / (now - self._looked)
        self._looked, self._seen = now, total
        state = f"{self._epoch}/{self._epochs} loss {loss:.3f} acc {hits / self._batch_size:.3f} {rate:,.0f} img/s"
        self._bar.update(self._task, completed=total, state=state)

    def epoch(self, epoch: int, metrics: Mapping[str, float], images: int) -> None:
        """Tell that an epoch, counted from 1, is done."""
        self._epoch = epoch + 1
        self._looked, self._seen = time.perf_counter(), epoch * self._steps  # what validation took is no training
        line = (
            f"{self._name}  epoch {epoch}/{self._epochs}  loss {metrics['train/loss']:.4f}"
            f"  val loss {metrics['val/loss']:.4f}  val acc {metrics['val/accuracy']:.4f}"
            f"  {images / metrics['time/train_seconds']:,.0f} img/s"
        )
        log.info(line)
        self._bar.console.print(line, highlight=False, soft_wrap=True)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
