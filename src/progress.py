"""How far a job is, as it tells whoever shows it."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from src.console import SteadyConsole

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

REFRESH = 0.5  # seconds between two looks at the loss, each of which waits for the device


@dataclass(frozen=True)
class Update:
    """Where a job stands; `line` tells of an epoch that has just ended."""

    done: float  # share of all its steps, 0 to 1
    epoch: int
    epochs: int
    loss: float
    accuracy: float  # on what it trains on, 0 to 1
    rate: float  # images a second
    line: str = ""


class Steps(Protocol):
    """An epoch's steps so far."""

    def __len__(self) -> int:
        """How many there are."""

    def steps(self, last: int) -> "Tensor":
        """Loss, penalty and hits of the `last` ones (steps, 3)."""


Listener = Callable[[Update], None]


def print_epochs(report: Update) -> None:
    """A line an epoch on the error stream."""
    if report.line:
        SteadyConsole(file=sys.stderr).print(report.line, highlight=False, markup=False, soft_wrap=True)


class Progress:
    """Tells a listener of one job's steps, every half second, and of its epochs."""

    def __init__(
        self, name: str, epochs: int, steps: int, batch_size: int, listener: Listener, *, live: bool = False
    ) -> None:
        """Steps are those of an epoch; they are told only where somebody looks on, `live`."""
        self._name, self._epochs, self._steps, self._batch_size = name, epochs, steps, batch_size
        self._listener, self._live = listener, live
        self._looked = time.perf_counter()  # when the loss was read last, or the epoch began
        self._seen = 0  # steps of the epoch done then

    def step(self, epoch: int, history: Steps) -> None:
        """Tell that one more step of the epoch, counted from 1, is done."""
        now = time.perf_counter()
        if not self._live or now - self._looked < REFRESH:
            return
        done = len(history)
        loss, _, hits = history.steps(50).mean(dim=0).tolist()
        rate = (done - self._seen) * self._batch_size / (now - self._looked)
        self._looked, self._seen = now, done
        share = (epoch - 1 + done / self._steps) / self._epochs
        self._listener(Update(share, epoch, self._epochs, loss, hits / self._batch_size, rate))

    def epoch(self, epoch: int, metrics: Mapping[str, float], images: int) -> None:
        """Tell that an epoch, counted from 1, is done."""
        self._looked, self._seen = time.perf_counter(), 0  # what validation took is no training
        rate = images / metrics["time/train_seconds"]
        line = (
            f"{self._name}  epoch {epoch}/{self._epochs}  loss {metrics['train/loss']:.4f}"
            f"  val loss {metrics['val/loss']:.4f}  val acc {metrics['val/accuracy']:.4f}  {rate:,.0f} img/s"
        )
        log.info(line)
        loss, accuracy = metrics["train/loss"], metrics["train/accuracy"]
        self._listener(Update(epoch / self._epochs, epoch, self._epochs, loss, accuracy, rate, line))
