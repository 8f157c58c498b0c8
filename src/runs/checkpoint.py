"""Saves and loads a job's checkpoints, each with the job's state at the end of an epoch.

Two files take turns, so the previous checkpoint survives if the newest is lost.  A file consists of a line with the
format, a SHA-256 of the file's other bytes, and the output of `torch.save`, which `torch.load` reads with
`weights_only=True`.  A digest of the journal's first line reveals a checkpoint of another job or an earlier attempt.
"""

import hashlib
import io
import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src.runs.journal import Record, read_first_line
from src.runs.shapes import record_fault
from src.storage.files import write_atomic
from src.storage.stored import DamagedFile, read_stored

FORMAT = 1
HEADER = b"normlab checkpoint "
CHECKPOINT_FILES = ("checkpoint-0.pt", "checkpoint-1.pt")
MAX_CHECKPOINT_SIZE = 2**33  # bytes
DEVICES_KEY = "devices"  # key of a loaded state: the devices that its tensors were saved from
RETRY_HINT = "; resume=restart retrains the job"

log = logging.getLogger(__name__)

State = dict[str, Any]


class UnreadableCheckpoint(Exception):
    """Raised for an undamaged checkpoint that this version of normlab cannot read."""


def save_checkpoint(folder: Path, epoch: int, state: State) -> None:
    """Write a job's state after an epoch, counted from 1; `state` may hold only containers, tensors and primitives."""
    buffer = io.BytesIO()
    torch.save({"epoch": epoch, "attempt": attempt_digest(folder), **state}, buffer)
    write_atomic(folder / CHECKPOINT_FILES[epoch % len(CHECKPOINT_FILES)], encode_checkpoint(FORMAT, buffer.getvalue()))


def attempt_digest(folder: Path) -> str:
    """Return a digest that identifies the current attempt at a job; every restart begins a new attempt."""
    return hashlib.sha256(read_first_line(folder / "journal.jsonl")).hexdigest()


def encode_checkpoint(version: int, content: bytes) -> bytes:
    """Return the bytes of a checkpoint file: the format line, the digest and the content."""
    head = HEADER + b"%d\n" % version
    return head + hashlib.sha256(head + content).digest() + content


def load_checkpoint(folder: Path) -> State | None:
    """Return the newest undamaged state of the job's current attempt, or None; logs each file that it skips.

    Raises UnreadableCheckpoint if a file has another format or contains objects other than tensors, numbers and texts.
    """
    states = [state for name in CHECKPOINT_FILES if (state := _read_checkpoint(folder / name)) is not None]
    return max(states, key=lambda state: int(state["epoch"]), default=None)


def drop_checkpoints(folder: Path) -> None:
    """Remove both checkpoint files of a job."""
    for name in CHECKPOINT_FILES:
        (folder / name).unlink(missing_ok=True)


class Checkpoints:
    """Saves and restores a job's network, optimizer and schedule, and the journal record of the epoch."""

    def __init__(self, folder: Path, **parts: Any) -> None:
        self._folder, self._parts = folder, parts

    def save(self, record: Record) -> None:
        """Save all parts of the job at the end of an epoch, with the epoch's journal record."""
        states = {name: part.state_dict() for name, part in self._parts.items()}
        save_checkpoint(self._folder, record["epoch"], {"parts": states, "record": record})

    def restore(self) -> Record | None:
        """Load the newest checkpoint into the job's parts and return the epoch's record, or None without a checkpoint.

        Raises UnreadableCheckpoint if this version cannot read the checkpoint or the checkpoint lacks a part.
        """
        state = load_checkpoint(self._folder)
        if state is None:
            return None
        parts = state.get("parts")
        record: Record | None = state.get("record")
        if not isinstance(parts, dict) or self._parts.keys() - parts.keys() or record is None or record_fault(record):
            raise UnreadableCheckpoint(
                f"{self._folder} has a checkpoint that lacks a part of the training state{RETRY_HINT}"
            )
        for name, part in self._parts.items():
            part.load_state_dict(parts[name])
        networks = [part for part in self._parts.values() if isinstance(part, nn.Module)]
        devices = sorted({str(parameter.device) for part in networks for parameter in part.parameters()})
        if devices and (saved := state[DEVICES_KEY]) != devices:
            log.warning("the checkpoint was saved on %s; the job resumes on %s", ", ".join(saved), ", ".join(devices))
        return record


def _read_checkpoint(path: Path) -> State | None:
    try:
        stored = read_stored(path, MAX_CHECKPOINT_SIZE)
    except FileNotFoundError:
        return None
    except DamagedFile as damaged:
        log.warning("%s and is ignored", damaged)
        return None
    head, _, digest_and_content = stored.partition(b"\n")
    version, content = head.removeprefix(HEADER), digest_and_content[32:]
    if stored.startswith((b"PK", b"\x80")):
        raise UnreadableCheckpoint(f"{path} is a bare pickle, not a checkpoint of format {FORMAT}{RETRY_HINT}")
    if not version.isdigit() or stored != encode_checkpoint(int(version), content):
        log.warning("%s is damaged and is ignored", path)
        return None
    if int(version) != FORMAT:
        raise UnreadableCheckpoint(f"{path} has format {int(version)}; this version reads format {FORMAT}{RETRY_HINT}")
    devices: set[str] = set()

    def keep_in_memory(storage: Any, location: str) -> Any:  # each part moves its tensors to its device itself
        devices.add(location)
        return storage

    try:
        state: State = torch.load(io.BytesIO(content), weights_only=True, map_location=keep_in_memory)
    except Exception as error:  # mostly UnpicklingError; the right digest shows that the file is not damaged
        raise UnreadableCheckpoint(
            f"{path} contains objects other than tensors, numbers and texts{RETRY_HINT}"
        ) from error
    if not isinstance(state, dict) or not isinstance(state.get("epoch"), int):
        raise UnreadableCheckpoint(f"{path} does not contain its epoch's number{RETRY_HINT}")
    if state.get("attempt") != attempt_digest(path.parent):
        log.warning("%s belongs to another job or an earlier attempt and is ignored", path)
        return None
    return {**state, DEVICES_KEY: sorted(devices)}
