"""The exceptions and signals that stop a command."""

import signal
from types import FrameType


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived.  As with KeyboardInterrupt, `except Exception` must not catch it."""


class JobFailed(Exception):
    """Takes the place of a failed job's accuracy, for sweepers such as Optuna's."""


def raise_on_sigterm() -> None:
    """Raise `Terminated` in the main thread on SIGTERM, and on SIGHUP (a closed terminal) except under `nohup`."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closing terminal sends it twice: from the shell and the kernel
    raise Terminated(f"signal {number}")
