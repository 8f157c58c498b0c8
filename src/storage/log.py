"""Writes a job's `train.log`."""

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def job_log(path: Path, resume: bool) -> Iterator[None]:
    """Write this thread's log records and warnings to a job's `train.log` while the context is open."""
    handler = LogFile(path, mode="a" if resume else "w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    thread = threading.get_ident()
    handler.addFilter(lambda record: record.thread == thread)  # other threads may train other jobs
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)
        with contextlib.suppress(OSError):  # the disk may be full
            handler.close()


class LogFile(logging.FileHandler):
    """A log file that skips lines while the disk is full; the job reports the full disk itself."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: D102, N802
        pass
