"""How a command is asked to stop from outside."""

import signal
from types import FrameType


class Terminated(BaseException):
    """SIGTERM arrived.  Like KeyboardInterrupt no Exception, so that nothing takes it for a failure."""


class JobFailed(Exception):
    """What a sweeper gets that asks a failed job for its objective."""


def raise_on_sigterm() -> None:
    """Let SIGTERM end what runs in the main thread as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(f"signal {number}")
