"""The exceptions and signals that stop a command."""

import signal
from types import FrameType


class Terminated(BaseException):
    """Raised when SIGTERM or SIGHUP arrives; like KeyboardInterrupt, it passes through `except Exception`."""


class JobFailed(Exception):
    """Replaces the accuracy of a failed job in the results that a sweeper such as Optuna's receives."""


def raise_on_sigterm() -> None:
    """Raise `Terminated` in the main thread on SIGTERM, and on SIGHUP (a closed terminal) except under `nohup`."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)


def _terminate(signal_number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # when a terminal closes, the shell and the kernel each send a SIGHUP
    raise Terminated(f"received signal {signal_number}")
