"""A job's checkpoints: its state at the end of an epoch.

The two files take turns, which keeps the previous checkpoint if the newest is lost.  A file is a line with the format,
a SHA-256 of everything else, and the output of `torch.save`: tensors and primitives, read with `weights_only=True`.
A digest of the journal's first line reveals a checkpoint of another job or of an earlier attempt.
"""

import hashlib
import io
import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src.runs.journal import Record, first_line
from src.runs.shapes import record_fault
from src.storage.files import write_atomic
from src.storage.stored import Damaged, read_stored

FORMAT = 1
HEADER = b"normlab checkpoint "
GENERATIONS = ("checkpoint-0.pt", "checkpoint-1.pt")
LARGEST = 2**33  # bytes
DEVICES = "devices"  # key in a state from a file: the devices of its tensors when they were saved
RETRAIN = "; resume=restart retrains the job"

log = logging.getLogger(__name__)

State = dict[str, Any]


class Unreadable(Exception):
    """An undamaged checkpoint that this version cannot read."""


def save_checkpoint(folder: Path, epoch: int, state: State) -> None:
    """Write the state after an epoch (from 1): dictionaries and lists of tensors and primitives."""
    buffer = io.BytesIO()
    torch.save({"epoch": epoch, "attempt": attempt(folder), **state}, buffer)
    write_atomic(folder / GENERATIONS[epoch % len(GENERATIONS)], checkpoint_bytes(FORMAT, buffer.getvalue()))


def attempt(folder: Path) -> str:
    """Return a digest of the current attempt at a job."""
    return hashlib.sha256(first_line(folder / "journal.jsonl")).hexdigest()


def checkpoint_bytes(version: int, content: bytes) -> bytes:
    """Return a checkpoint file's bytes."""
    head = HEADER + b"%d\n" % version
    return head + hashlib.sha256(head + content).digest() + content


def load_checkpoint(folder: Path) -> State | None:
    """Return the newest undamaged state of the current attempt, or None; the log names files that are skipped.

    Raises Unreadable if a file has a newer format or holds more than tensors and primitives.
    """
    states = [state for name in GENERATIONS if (state := _read(folder / name)) is not None]
    return max(states, key=lambda state: int(state["epoch"]), default=None)


def drop_checkpoints(folder: Path) -> None:
    """Remove both checkpoints."""
    for name in GENERATIONS:
        (folder / name).unlink(missing_ok=True)


class Checkpoints:
    """Saves and restores a job's parts (network, optimizer, schedule) and the journal record of the epoch."""

    def __init__(self, folder: Path, **parts: Any) -> None:
        self._folder, self._parts = folder, parts

    def save(self, record: Record) -> None:
        """Save all parts at the end of the epoch of `record`."""
        states = {name: part.state_dict() for name, part in self._parts.items()}
        save_checkpoint(self._folder, record["epoch"], {"parts": states, "record": record})

    def restore(self) -> Record | None:
        """Load the newest checkpoint into all parts and return its record; without a checkpoint, return None.

        Raises Unreadable like `load_checkpoint`, or if a part is missing.
        """
        state = load_checkpoint(self._folder)
        if state is None:
            return None
        parts = state.get("parts")
        record: Record | None = state.get("record")
        if not isinstance(parts, dict) or self._parts.keys() - parts.keys() or record is None or record_fault(record):
            raise Unreadable(f"{self._folder} has a checkpoint that lacks a part of the job{RETRAIN}")
        for name, part in self._parts.items():
            part.load_state_dict(parts[name])
        networks = [part for part in self._parts.values() if isinstance(part, nn.Module)]
        saved, now = state[DEVICES], sorted({str(each.device) for part in networks for each in part.parameters()})
        if now and saved != now:
            log.warning("the checkpoint was saved on %s; the job resumes on %s", ", ".join(saved), ", ".join(now))
        return record


def _read(path: Path) -> State | None:
    try:
        stored = read_stored(path, LARGEST)
    except FileNotFoundError:
        return None
    except Damaged as damaged:
        log.warning("%s and is ignored", damaged)
        return None
    head, _, rest = stored.partition(b"\n")
    version, content = head.removeprefix(HEADER), rest[32:]
    if stored.startswith((b"PK", b"\x80")):
        raise Unreadable(f"{path} is a bare pickle, not a checkpoint of format {FORMAT}{RETRAIN}")
    if not version.isdigit() or stored != checkpoint_bytes(int(version), content):
        log.warning("%s is damaged and is ignored", path)
        return None
    if int(version) != FORMAT:
        raise Unreadable(f"{path} has format {int(version)}; this version reads format {FORMAT}{RETRAIN}")
    devices: set[str] = set()

    def to_memory(storage: Any, location: str) -> Any:  # each part then moves its tensors to its own device
        devices.add(location)
        return storage

    try:
        state: State = torch.load(io.BytesIO(content), weights_only=True, map_location=to_memory)
    except Exception as error:  # mostly UnpicklingError; the digest fits, so the file is not damaged
        raise Unreadable(f"{path} holds more than tensors and primitives{RETRAIN}") from error
    if not isinstance(state, dict) or not isinstance(state.get("epoch"), int):
        raise Unreadable(f"{path} does not name its epoch{RETRAIN}")
    if state.get("attempt") != attempt(path.parent):
        log.warning("%s belongs to another job or an earlier attempt and is ignored", path)
        return None
    return {**state, DEVICES: sorted(devices)}
