"""How a command is asked to stop from outside."""

import signal
from types import FrameType


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived.  Like KeyboardInterrupt no Exception, so that nothing takes it for a failure."""


class JobFailed(Exception):
    """What a sweeper gets that asks a failed job for its objective."""


def raise_on_sigterm() -> None:
    """Let SIGTERM, and SIGHUP of a terminal that closes, end the main thread's work as Ctrl-C does.

    Under `nohup` SIGHUP stays ignored.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a shell and the kernel both send one for the same terminal
    raise Terminated(f"signal {number}")
