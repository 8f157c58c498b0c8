"""Finds out why a job ended, and records the reason if the job could not."""

import contextlib
import signal
from pathlib import Path

from src.bad_input import BadInput
from src.runs.folder import JobFolder
from src.runs.journal import Journal, Record, stamp
from src.storage.lock import job_lock
from src.storage.stored import DamagedFile


def read_last_record(folder: Path) -> Record | None:
    """Return the last record of a job's journal, or None if the journal is empty or missing."""
    return next(reversed(JobFolder(folder).records()), None)


def failure_reason(folder: Path, status: str, cause: str, earlier_record: Record | None) -> str:
    """Return why a job that has ended has no result, or an empty string if it has one.

    If the job started but did not record its end, this writes `cause` and `status` (KILLED or FAILED) to its journal
    and log.  `earlier_record` is the journal's last record at launch: a stop record there is from an earlier attempt.
    """
    job = JobFolder(folder)
    try:
        if job.result() is not None:
            return ""
    except DamagedFile as damaged:
        return str(damaged)
    with contextlib.suppress(BadInput, OSError), job_lock(folder, wait=False):
        records = job.records()
        if records and records[-1]["kind"] == "stop" and records[-1] != earlier_record:
            return str(records[-1]["error"])
        if not records and status == "KILLED":
            return cause
        if records:
            with Journal(job.journal, resume=True) as journal:
                journal.append(stamp("stop", status=status, error=cause))
        with job.log.open("a") as log:
            log.write(f"{cause}\n")
    return cause


def exit_reason(code: int) -> str:
    """Return a text that says how a process ended; a negative `code` is the number of the signal that ended it."""
    if code >= 0:
        return f"its process ended with exit status {code} and left no result"
    name = signal.Signals(-code).name
    return f"its process was ended by {name}" + (", which the system sends if memory runs out" if -code == 9 else "")
