"""The progress of a job: updates that it sends to a listener, for example to a progress table."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.console import say

if TYPE_CHECKING:
    from src.training.history import History

log = logging.getLogger(__name__)

UPDATE_INTERVAL = 0.5  # seconds between updates within an epoch; each update waits for the device


@dataclass(frozen=True)
class Update:
    """A job's progress at one moment."""

    share_done: float  # share of all steps, 0 to 1
    epoch: int
    epochs: int
    loss: float
    accuracy: float  # on training images, 0 to 1
    images_per_second: float
    epoch_line: str = ""  # describes the epoch that has just ended; empty within an epoch


Listener = Callable[[Update], None]


def print_epochs(update: Update) -> None:
    """Print one line per epoch on the error stream."""
    if update.epoch_line:
        say(update.epoch_line)


class Progress:
    """Sends a job's updates to a listener: one per epoch, and with `live` also one every half second."""

    def __init__(
        self, name: str, epochs: int, steps: int, batch_size: int, listener: Listener, *, live: bool = False
    ) -> None:
        """Create the progress of a job with `epochs` epochs of `steps` steps each."""
        self._name, self._epochs, self._steps, self._batch_size = name, epochs, steps, batch_size
        self._listener, self._live = listener, live
        self._last_time = time.perf_counter()  # when the last update was sent or the epoch began
        self._last_step = 0

    def step(self, epoch: int, history: "History") -> None:
        """Send an update if half a second has passed; call this method after each step. Epochs count from 1."""
        current_time = time.perf_counter()
        if not self._live or current_time - self._last_time < UPDATE_INTERVAL:
            return
        finished_steps = len(history)
        loss, _, hits = history.steps(50).mean(dim=0).tolist()
        rate = (finished_steps - self._last_step) * self._batch_size / (current_time - self._last_time)
        self._last_time, self._last_step = current_time, finished_steps
        share = (epoch - 1 + finished_steps / self._steps) / self._epochs
        self._listener(Update(share, epoch, self._epochs, loss, hits / self._batch_size, rate))

    def epoch(self, epoch: int, metrics: Mapping[str, float], images: int) -> None:
        """Send an update; call this method after each epoch, with the number of images that the epoch trained on."""
        self._last_time, self._last_step = time.perf_counter(), 0  # the rate must not include validation
        rate = images / metrics["time/train_seconds"]
        line = (
            f"epoch {epoch}/{self._epochs}  loss {metrics['train/loss']:.4f}"
            f"  val loss {metrics['val/loss']:.4f}  val acc {metrics['val/accuracy']:.4f}  {rate:,.0f} img/s"
        )
        log.info("%s  %s", self._name, line)
        loss, accuracy = metrics["train/loss"], metrics["train/accuracy"]
        self._listener(Update(epoch / self._epochs, epoch, self._epochs, loss, accuracy, rate, line))
