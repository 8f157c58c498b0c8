"""Imported first by the process that jobs are forked from.

A signal to all processes at once is not for it to hear: `timeout`, systemd and a terminal's Ctrl-C signal a whole
group, and without the process that forks them, nobody would know what became of the jobs.  It ends with its parent;
each job listens for itself (`src/workers/processes.py`).
"""

import signal

from src.collector import collect_rarely

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
collect_rarely()
