"""How a job ended, told by others where it could not say so itself."""

import contextlib
import signal
from pathlib import Path

from src.bad_input import BadInput
from src.runs.folder import JobFolder
from src.runs.journal import Journal, Record, stamp
from src.storage.lock import job_lock


def last_record(folder: Path) -> Record | None:
    """The last line of a job's journal, None where there is none."""
    return next(reversed(JobFolder(folder).records()), None)


def failure_reason(folder: Path, status: str, died: str, before: Record | None) -> str:
    """Why a job that nobody trains any more has no result; empty where there is one.

    Where the job itself could not say it, its journal and log say from now on what it `died` of; one that was stopped
    before it began is left as it was.  What stood there `before`, its last line then, is the reason of an earlier end.
    """
    job = JobFolder(folder)
    if job.finished:
        return job.result_fault()
    with contextlib.suppress(BadInput, OSError), job_lock(folder, wait=False):
        records = job.records()
        if records and records[-1]["kind"] == "stop" and records[-1] != before:
            return str(records[-1]["error"])
        if not records and status == "KILLED":
            return died
        if records:
            with Journal(job.journal, resume=True) as journal:
                journal.append(stamp("stop", status=status, error=died))
        with (folder / "train.log").open("a") as log:
            log.write(f"{died}\n")
    return died


def exit_reason(code: int) -> str:
    """What a process died of, by its exit status, which is a signal's number below 0."""
    if code >= 0:
        return f"its process ended with exit status {code} and without a result"
    name = signal.Signals(-code).name
    return f"its process was ended by {name}" + (", as the system does when memory runs out" if -code == 9 else "")
