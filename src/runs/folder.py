"""Reads a job's folder, `multirun/jobs/<name>-<first 8 digits of the job's key>`."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from src.config import KEYS
from src.runs.identity import job_settings
from src.runs.journal import Record, read_finished_journal, read_journal
from src.runs.shapes import DEVICE_FACTS, result_fault
from src.storage.files import move_aside
from src.storage.lock import job_lock
from src.storage.stored import DamagedFile, exists, is_regular, read_sealed

SUPERSEDED = "superseded"  # the folder in `multirun` to which `set_aside_folder` moves job folders
MAX_RESULT_SIZE = 1_000_000  # bytes
PICTURES = ("misclassified.png", "misclassified_2x5.png", "confusion_matrix.png")
# The files of every finished job that MLflow shows, in the order in which they are sent.
ARTIFACTS = ("config.yaml", *PICTURES, "per_class.csv", "predictions.npz", "weights.safetensors", "train.log")
AUGMENTED = "augmented.png"  # the picture of augmented images, which only jobs with an augmentation have


def artifact_names(augmentation: str) -> tuple[str, ...]:
    """Return the names of the files that a finished job with this augmentation has and MLflow shows."""
    return ARTIFACTS if augmentation == KEYS["augmentation.name"].default else (*ARTIFACTS, AUGMENTED)


def recorded_device(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a `ready` or `resume` record says about the device: its name, the execution and the GPU's model."""
    return {name: record[name] for name in DEVICE_FACTS if name in record}


@dataclass(unsafe_hash=True)
class JobFolder:
    """A job's folder, which may not exist yet."""

    path: Path

    def __post_init__(self) -> None:
        self.journal = self.path / "journal.jsonl"
        self.log = self.path / "train.log"
        self.result_path = self.path / "result.json"  # the job writes it last

    @property
    def display_name(self) -> str:
        """The job's name for messages: its folder's name without the key."""
        return self.path.name.rpartition("-")[0].replace("_", " ") or self.path.name

    @property
    def finished(self) -> bool:
        """Whether the job has a result; raises NoAccess if this user may not read its folder."""
        return exists(self.result_path)

    @property
    def failed(self) -> bool:
        """Whether the job failed, or ended before it started."""
        records = [] if self.finished else self.records()
        return self.never_started or (bool(records) and records[-1].get("status") == "FAILED")

    @property
    def never_started(self) -> bool:
        """Whether the job ended before its first journal record, for example because an engine refused it."""
        return not self.finished and not self.records() and self.log.exists() and self.log.stat().st_size > 0

    def records(self) -> list[Record]:
        """Read the undamaged records of the job's journal."""
        return read_journal(self.journal)

    def result(self) -> dict[str, Any] | None:
        """Read the job's result, or return None if it is unfinished; raises DamagedFile if the file is damaged."""
        try:
            return dict(read_sealed(self.result_path, result_fault, MAX_RESULT_SIZE))
        except FileNotFoundError:
            if exists(self.result_path):  # a broken link
                raise DamagedFile(self.result_path, "is not a regular file") from None
            return None


@dataclass(frozen=True)
class FinishedJob:
    """The content of a finished job's folder; reads each file once."""

    folder: JobFolder

    @cached_property
    def journal(self) -> tuple[list[Record], str]:
        """The undamaged records of the journal, and the fault in its file or an empty string."""
        return read_finished_journal(self.folder.journal)

    @property
    def records(self) -> list[Record]:
        """The undamaged records of the journal."""
        return self.journal[0]

    @cached_property
    def start(self) -> Mapping[str, Any]:
        """The fields of the journal's first `start` and `ready` records, as one mapping."""
        first_of_kind = {record["kind"]: record for record in reversed(self.records)}
        return {**first_of_kind["ready"], **first_of_kind["start"]}

    @property
    def environments(self) -> list[Mapping[str, Any]]:
        """The versions, machine, commit, device and execution at the job's start, then at each resume."""
        device = {"device": self.start["device"]}  # older resume records lack it
        records = [self.start, *(record for record in self.records if record["kind"] == "resume")]
        return [{**record["environment"], **device, **recorded_device(record)} for record in records]

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The configuration values that decide the job's numbers, by dotted key."""
        return job_settings(self.start["config"])

    @property
    def artifacts(self) -> tuple[str, ...]:
        """The names of the job's files that MLflow shows."""
        return artifact_names(self.settings["augmentation.name"])

    @cached_property
    def epochs(self) -> Sequence[Record]:
        """The journal records of all epochs; each holds an epoch's number and metrics."""
        return [record for record in self.records if record["kind"] == "epoch"]

    @cached_property
    def result(self) -> dict[str, Any]:
        """The job's result, with its final metrics; raises DamagedFile if the file is missing or damaged."""
        result = self.folder.result()
        if result is None:
            raise DamagedFile(self.folder.result_path, "is missing")
        return result


def set_aside_folder(job: JobFolder, multirun: Path) -> None:
    """Move a job's folder to `multirun/superseded`; raises BlockingIOError if a process is training the job."""
    lock = job.path / "lock"
    can_be_locked = job.path.is_dir() and (is_regular(lock) or not exists(lock))
    with job_lock(job.path, wait=False) if can_be_locked else contextlib.nullcontext():
        move_aside(job.path, multirun / SUPERSEDED)
