"""The status of a job in a plan, from the files in its folder."""

from typing import NamedTuple

from src.runs.folder import JobFolder
from src.runs.journal import last_epoch
from src.storage.lock import is_locked


class Status(NamedTuple):
    """The status of a job: to train, damaged, interrupted, failed, in training or finished."""

    kind: str  # the summary counts the jobs of each kind
    epochs: int  # finished epochs, which need no more training
    text: str  # shown to the user


TO_TRAIN = Status("to train", 0, "to train")


def job_status(job: JobFolder, epochs: int, code: str) -> Status:
    """Return the status of a job that has a folder. It trains `epochs` epochs; `code` is the current code's digest."""
    records = job.records()
    same_code = bool(records) and records[0].get("code") == code
    if job.finished:
        kind = "finished" if same_code else "finished with other code"
        return Status(kind, epochs, kind)
    epoch = last_epoch(records)
    progress = f"{epoch} of {epochs} epochs"
    if is_locked(job.path):
        return Status("in training", epoch, f"another process is training it ({progress} done)")
    if same_code and records[-1].get("status") == "FAILED":
        return Status("failed", epoch, f"failed after {progress}: {records[-1].get('error', '')}"[:160].rstrip(": "))
    if not epoch:
        return TO_TRAIN
    if same_code:
        return Status("interrupted", epoch, f"resumes after epoch {epoch} of {epochs}")
    return Status("to train", 0, f"to train: starts again, because other code trained {progress}")
