"""A job's folder: `multirun/jobs/<name>-<first 8 digits of its key>`."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from src.runs.identity import stored_leaves
from src.runs.journal import Record, read_finished, read_journal
from src.runs.shapes import result_fault
from src.storage.files import move_aside
from src.storage.lock import job_lock
from src.storage.stored import Damaged, exists, is_regular, read_sealed

MULTIRUN = Path("multirun")
SUPERSEDED = "superseded"  # the folder for job folders that were set aside
LARGEST_RESULT = 1_000_000  # bytes
PICTURES = ("misclassified.png", "misclassified_2x5.png", "confusion_matrix.png")
# A job's files that MLflow shows, in the order of delivery.
ARTIFACTS = ("config.yaml", *PICTURES, "per_class.csv", "predictions.npz", "weights.safetensors", "train.log")


@dataclass(unsafe_hash=True)
class JobFolder:
    """Reads a job's folder, which may not exist yet."""

    path: Path

    def __post_init__(self) -> None:
        self.journal = self.path / "journal.jsonl"
        self.log = self.path / "train.log"
        self.result_path = self.path / "result.json"  # the job writes it last

    @property
    def display_name(self) -> str:
        """The job's name while it runs: its folder's name without the key."""
        return self.path.name.rpartition("-")[0].replace("_", " ") or self.path.name

    @property
    def finished(self) -> bool:
        """Whether the job has a result; raises NoAccess if permissions hide the answer."""
        return exists(self.result_path)

    @property
    def failed(self) -> bool:
        """Whether the job failed."""
        records = [] if self.finished else self.records()
        return self.never_started or (bool(records) and records[-1].get("status") == "FAILED")

    @property
    def never_started(self) -> bool:
        """Whether the job ended before its first journal record, for example because an engine refused it."""
        return not self.finished and not self.records() and self.log.exists() and self.log.stat().st_size > 0

    def records(self) -> list[Record]:
        """Read the journal."""
        return read_journal(self.journal)

    def result(self) -> dict[str, Any] | None:
        """Read the result, None for an unfinished job; raises Damaged if the file holds anything else."""
        try:
            return dict(read_sealed(self.result_path, result_fault, LARGEST_RESULT))
        except FileNotFoundError:
            if exists(self.result_path):  # a link to nothing
                raise Damaged(self.result_path, "is not a regular file") from None
            return None


@dataclass(frozen=True)
class FinishedJob:
    """Reads a finished job; each file is read once."""

    folder: JobFolder

    @cached_property
    def journal(self) -> tuple[list[Record], str]:
        """The result of `read_finished`: the undamaged records and the fault."""
        return read_finished(self.folder.journal)

    @property
    def records(self) -> list[Record]:
        """All journal records."""
        return self.journal[0]

    @cached_property
    def start(self) -> Mapping[str, Any]:
        """The fields of the `start` and `ready` records."""
        first = {record["kind"]: record for record in reversed(self.records)}
        return {**first["ready"], **first["start"]}

    @property
    def environments(self) -> list[Mapping[str, Any]]:
        """Versions, machine, commit and device, at the start and at each resume."""
        began = {**self.start["environment"], "device": self.start["device"]}
        resumed = [record for record in self.records if record["kind"] == "resume"]  # without a device in old journals
        return [began, *({**each["environment"], "device": each.get("device", began["device"])} for each in resumed)]

    @cached_property
    def leaves(self) -> Mapping[str, Any]:
        """The configuration values that decide the job's numbers, by dotted key."""
        return stored_leaves(self.start["config"])

    @cached_property
    def epochs(self) -> Sequence[Record]:
        """The epochs' records, with `epoch` and `metrics`."""
        return [record for record in self.records if record["kind"] == "epoch"]

    @cached_property
    def result(self) -> dict[str, Any]:
        """The final numbers."""
        result = self.folder.result()
        if result is None:
            raise Damaged(self.folder.result_path, "is missing")
        return result


def set_aside(job: JobFolder, multirun: Path) -> None:
    """Move a job's whole folder to `multirun/superseded`; raises BlockingIOError if a process is training it."""
    lock = job.path / "lock"
    can_be_locked = job.path.is_dir() and (is_regular(lock) or not exists(lock))
    with job_lock(job.path, wait=False) if can_be_locked else contextlib.nullcontext():
        move_aside(job.path, multirun / SUPERSEDED)
