"""Prepares the fork server, which is the process that forks the jobs; it imports this module first.

A terminal's Ctrl-C, a closing terminal, `timeout` and systemd signal a whole group of processes.  The fork server
ignores these signals, because without it the command could not learn how its jobs end.  It ends with its parent.  Each
job handles SIGINT and SIGTERM itself (`processes.py`); the command handles SIGHUP, and ignores it under `nohup`.
"""

import errno
import signal
import sys
from types import TracebackType

from src.startup import prepare_process

for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(signal_number, signal.SIG_IGN)
prepare_process()


def _print_start_failure(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print one line instead of a traceback, or nothing if memory ran out, because the command itself reports it."""
    if not (issubclass(kind, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM):
        print(f"normlab: jobs cannot start: {kind.__name__}: {' '.join(str(error).split())[:200]}", file=sys.stderr)


sys.excepthook = _print_start_failure
