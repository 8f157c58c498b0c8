"""A process that trains several jobs on one GPU at once, each in a thread and on a CUDA stream of its own.

Small networks keep a GPU busy only together, and processes would take turns on it.  The process ends without further
work at a signal: job folders survive that, and the command records how its jobs ended.
"""

import contextlib
import gc
import logging
import os
import re
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from src.config import Config
from src.datasets import Data
from src.progress import Update
from src.workers.processes import end_with_parent

if TYPE_CHECKING:
    from src.runs.predictions import Predictions

TRAINED = "trained"  # the job only draws and writes files now, so another one can train in its place
FINISHED, FAILED, OUT_OF_MEMORY = "finished", "failed", "out of memory"
MAX_JOBS_PER_GPU = 32  # the number of CUDA streams that torch has
SIGNALLED = 128  # exit status of a process that SIGINT or SIGTERM has stopped, minus the signal's number
BROKEN_GPU = 70  # exit status: a job has broken the process's access to the GPU for all of its jobs


def train_jobs(
    pipe: Connection, painters: Sequence[Connection], environment: dict[str, str], places: int, live: bool
) -> None:
    """Train each job that the pipe brings, up to `places` at once, until it closes: the main function of the process.

    The pipe brings a `Config` and a folder.  It takes back a folder with an `Update`, `TRAINED` or how the job ended.
    """
    gc.freeze()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda number, frame: os._exit(SIGNALLED + number))
    end_with_parent()
    os.environ.update(environment)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # what a job prints is in its log too, and would disturb the command's table
    os.dup2(null, 2)
    logging.getLogger().setLevel(logging.INFO)  # each job's log sets and restores the level, which others still need
    free_painters = SimpleQueue[Connection]()
    for painter in painters:
        free_painters.put(painter)
    sending = threading.Lock()

    def send(folder: Path, news: Update | str) -> None:
        with sending, contextlib.suppress(OSError):  # the command has ended and reads no more
            pipe.send((folder, news))

    def draw(folder: Path, predictions: "Predictions", data: Data) -> None:
        """Let another process draw a job's pictures: Python draws for 0.3 s, and one thread runs Python at a time."""
        send(folder, TRAINED)
        painter = free_painters.get()
        try:
            painter.send((folder, predictions, data))
            error = painter.recv()
        finally:
            free_painters.put(painter)
        if error:
            raise RuntimeError(error)

    def train(config: Config, folder: Path) -> None:
        end = _ended(config, folder, lambda update: send(folder, update), live=live, draw=draw)
        if end == OUT_OF_MEMORY:
            gc.collect()  # other jobs need the memory of this job's network, which its exception kept until now
        send(folder, end)

    thread_count = min(places + len(painters), MAX_JOBS_PER_GPU)
    with ThreadPoolExecutor(thread_count) as threads, contextlib.suppress(EOFError):
        while True:
            threads.submit(train, *pipe.recv())
    os._exit(0)  # at once: CUDA's own clean-up takes a second


def _ended(config: Config, folder: Path, *arguments: Any, **settings: Any) -> str:
    """Train a job and return how it ended; ends the process if the job has broken its access to the GPU."""
    import torch  # the command's own process, which imports this module, does not need torch

    from src.job import run_job

    try:
        run_job(config, folder, *arguments, **settings)
    except BaseException as error:  # `run_job` has already written the reason to the journal and the log
        # cuBLAS, cuDNN and the creation of a CUDA graph raise other errors than torch's allocator.
        if isinstance(error, torch.OutOfMemoryError) or re.search("out of memory|_ALLOC_FAILED", str(error)):
            return OUT_OF_MEMORY
        if torch.cuda.is_initialized():
            try:
                torch.cuda.current_stream().synchronize()
            except Exception:  # an illegal access, for example; every other call in this process fails too
                os._exit(BROKEN_GPU)
        return FAILED
    return FINISHED


def paint(pipe: Connection) -> None:
    """Draw the pictures of each job that the pipe brings, until it closes: the main function of a painter's process."""
    gc.freeze()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    end_with_parent()
    from src.job import draw_mistakes

    with contextlib.suppress(EOFError, OSError):
        while True:
            folder, predictions, data = pipe.recv()
            try:
                draw_mistakes(folder, predictions, data)
                pipe.send("")
            except Exception as error:
                pipe.send(f"{type(error).__name__}: {error}")
