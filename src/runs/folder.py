"""The folder that a job leaves: `multirun/jobs/<readable>-<key8>`."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from src.runs.identity import stored_leaves
from src.runs.journal import Record, read_finished, read_journal
from src.runs.shapes import result_fault
from src.storage.files import sync_folder
from src.storage.lock import job_lock
from src.storage.stored import Damaged, exists, is_regular, parsed, read_stored, seal_fits

MULTIRUN = Path("multirun")
SUPERSEDED = "superseded"  # the folder of what was set aside
LARGEST_RESULT = 1_000_000  # bytes
# A job's files that MLflow shows, in the order in which they are delivered.
ARTIFACTS = (
    "config.yaml",
    "misclassified.png",
    "misclassified_2x5.png",
    "confusion_matrix.png",
    "per_class.csv",
    "predictions.npz",
    "weights.safetensors",
    "train.log",
)


@dataclass(frozen=True)
class JobFolder:
    """Reads one job's folder; what is not there yet is empty."""

    path: Path

    @property
    def display_name(self) -> str:
        """How the job is called while it runs: its folder's name without the key."""
        return self.path.name.rpartition("-")[0].replace("_", " ") or self.path.name

    @property
    def journal(self) -> Path:
        """Where the job writes while it trains."""
        return self.path / "journal.jsonl"

    @property
    def finished(self) -> bool:
        """Whether the job has done everything: its result is written last.

        Raises:
            NoAccess: where another user has closed the folder.
        """
        return exists(self.result_path)

    @property
    def result_path(self) -> Path:
        """Where the result stands once there is one."""
        return self.path / "result.json"

    @property
    def failed(self) -> bool:
        """Whether the job broke off by itself."""
        records = [] if self.finished else self.records()
        return self.never_started or (bool(records) and records[-1].get("status") == "FAILED")

    @property
    def never_started(self) -> bool:
        """Whether it ended before the first line of its journal, as where an engine refuses it; its log says why."""
        return not self.finished and not self.records() and self.log.exists() and self.log.stat().st_size > 0

    @property
    def log(self) -> Path:
        """What the job has said, and what others have found out about its end."""
        return self.path / "train.log"

    def records(self) -> list[Record]:
        """What the journal holds now."""
        return read_journal(self.journal)

    def result(self) -> dict[str, Any] | None:
        """The result of a finished job, else None.

        Raises:
            Damaged: where the file does not hold what a job writes there.
        """
        try:
            content = read_stored(self.result_path, LARGEST_RESULT)
        except FileNotFoundError:
            if exists(self.result_path):  # a link to nothing
                raise Damaged(self.result_path, "is no regular file") from None
            return None
        try:
            result: dict[str, Any] = parsed(content)
            what = result_fault(result)
            if not what and not seal_fits(result):
                what = "is damaged"
        except ValueError:
            what = "is no JSON"
        if what:
            raise Damaged(self.result_path, what)
        result.pop("crc", None)
        return result

    def result_fault(self) -> str:
        """What is wrong with the result, naming its file; empty for nothing, and where there is none."""
        try:
            self.result()
        except Damaged as damaged:
            return str(damaged)
        return ""


@dataclass(frozen=True)
class FinishedJob:
    """A finished job: what it was, its epochs and its result."""

    folder: JobFolder

    @cached_property
    def records(self) -> list[Record]:
        """All that its journal holds."""
        return self._journal[0]

    @property
    def journal_fault(self) -> str:
        """What is wrong with its journal as a file; empty for nothing."""
        return self._journal[1]

    @cached_property
    def _journal(self) -> tuple[list[Record], str]:
        return read_finished(self.folder.journal)

    @cached_property
    def start(self) -> Mapping[str, Any]:
        """What the job was: configuration, environment and code, then job, cell, source and parameters."""
        said = {record["kind"]: record for record in reversed(self.records)}  # the first of each kind
        return {**said["ready"], **said["start"]}

    @property
    def environments(self) -> list[Mapping[str, Any]]:
        """Where it began, and each place where it went on: versions, machine, commit and device."""
        began = {**self.start["environment"], "device": self.start["device"]}
        resumed = [record for record in self.records if record["kind"] == "resume"]
        devices = [record.get("device", began["device"]) for record in resumed]  # older journals do not say
        later = zip(resumed, devices, strict=True)
        return [began, *({**record["environment"], "device": device} for record, device in later)]

    @cached_property
    def leaves(self) -> Mapping[str, Any]:
        """The configuration's leaves that decide what the job computes, by dotted key."""
        return stored_leaves(self.start["config"])

    @cached_property
    def epochs(self) -> Sequence[Record]:
        """One record an epoch, with `epoch` and `metrics`."""
        return [record for record in self.records if record["kind"] == "epoch"]

    @cached_property
    def result(self) -> dict[str, Any]:
        """The numbers at the end."""
        result = self.folder.result()
        if result is None:
            raise Damaged(self.folder.result_path, "is missing")
        return result


def set_aside(job: JobFolder, multirun: Path) -> None:
    """Move a job's folder out of the way, whole, to `multirun/superseded`.

    Raises:
        BlockingIOError: where a living process holds it.
    """
    if job.path.is_dir() and (is_regular(job.path / "lock") or not exists(job.path / "lock")):
        held: contextlib.AbstractContextManager[None] = job_lock(job.path, wait=False)
    else:
        held = contextlib.nullcontext()  # nobody can hold it
    with held:
        there = multirun / SUPERSEDED / f"{job.path.name}-{time.time_ns() // 1_000_000}"
        there.parent.mkdir(exist_ok=True)
        job.path.rename(there)
        sync_folder(there.parent)
        sync_folder(job.path.parent)


def holds(job: JobFolder, key: str) -> bool:
    """Whether a folder is that of a job, as far as its journal tells."""
    return all(record.get("job", key) == key for record in job.records()[:2])
