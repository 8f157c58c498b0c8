"""Imported first by the process that jobs are forked from.

`timeout`, systemd, a terminal's Ctrl-C and a terminal that closes signal a whole group of processes.  This one ignores
those signals: without it nobody would know what became of the jobs.  It ends with its parent.  Each job handles SIGINT
and SIGTERM itself (`src/workers/processes.py`); SIGHUP it leaves to the command, which may run under `nohup`.
"""

import errno
import signal
import sys
from types import TracebackType

from src.startup import prepare_process

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
prepare_process()


def _print_reason(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print one line in place of a traceback; where memory is short, the command itself says so."""
    if not (issubclass(kind, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM):
        print(f"normlab: jobs cannot start: {kind.__name__}: {' '.join(str(error).split())[:200]}", file=sys.stderr)


sys.excepthook = _print_reason
