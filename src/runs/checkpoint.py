"""A job's checkpoints: the state at the end of an epoch, in two generations, each whole or not there.

A file is a line that names the format, the SHA-256 of that line and the rest, and the rest as `torch.save` writes it:
tensors and primitives only, read with `weights_only=True` and nothing else.  The two files take turns, so that the
state before the newest survives whatever happens to the newest.  Each carries a digest of the journal's first line: one
that was copied from another job, or outlived an earlier attempt, fits the network and is still not gone on from.
"""

import hashlib
import io
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

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
PLACES = "places"  # where its tensors were, in a state that was read
WAY_ON = "; resume=restart trains the job anew"

log = logging.getLogger(__name__)

State = dict[str, Any]


class Stateful(Protocol):
    """A network, an optimizer, a schedule."""

    def state_dict(self) -> dict[str, Any]:
        """Its state as tensors and primitives."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take on a state."""


class Unreadable(Exception):
    """A checkpoint is whole, but not one that this version may read."""


def save_checkpoint(folder: Path, epoch: int, state: State) -> None:
    """Write the state at the end of an epoch over the older generation.

    Args:
        folder: the job's folder.
        epoch: counted from 1.
        state: nested dictionaries and lists of tensors and primitives.
    """
    buffer = io.BytesIO()
    torch.save({"epoch": epoch, "attempt": attempt(folder), **state}, buffer)
    write_atomic(folder / GENERATIONS[epoch % len(GENERATIONS)], checkpoint_bytes(FORMAT, buffer.getvalue()))


def attempt(folder: Path) -> str:
    """What tells whose checkpoints lie in a job's folder."""
    return hashlib.sha256(first_line(folder / "journal.jsonl")).hexdigest()


def checkpoint_bytes(version: int, content: bytes) -> bytes:
    """A checkpoint file's bytes."""
    head = HEADER + b"%d\n" % version
    return head + hashlib.sha256(head + content).digest() + content


def load_checkpoint(folder: Path) -> State | None:
    """The newest state that is unharmed and this attempt's own, or None; another one is told in the log.

    Raises:
        Unreadable: where a file is of a newer format or not of tensors and primitives.
    """
    found = [state for name in GENERATIONS if (state := _read(folder / name)) is not None]
    return max(found, key=lambda state: int(state["epoch"]), default=None)


def drop_checkpoints(folder: Path) -> None:
    """Remove both generations."""
    for name in GENERATIONS:
        (folder / name).unlink(missing_ok=True)


class Checkpoints:
    """A job's checkpoints: each holds the state of every part and the record of the epoch that it closes."""

    def __init__(self, folder: Path, **parts: Stateful) -> None:
        self._folder, self._parts = folder, parts

    def save(self, record: Record) -> None:
        """Keep the state of all parts at the end of the epoch that `record` tells of."""
        states = {name: part.state_dict() for name, part in self._parts.items()}
        save_checkpoint(self._folder, record["epoch"], {"parts": states, "record": record})

    def restore(self) -> Record | None:
        """Bring all parts to the newest whole state and return its epoch's record; None, and nothing done, without one.

        Raises:
            Unreadable: where a file is of a newer format or not of tensors and primitives.
        """
        state = load_checkpoint(self._folder)
        if state is None:
            return None
        parts = state.get("parts")
        found: Record | None = state.get("record")
        if not isinstance(parts, dict) or self._parts.keys() - parts.keys() or found is None or record_fault(found):
            raise Unreadable(f"{self._folder} has a checkpoint that lacks a part of the job{WAY_ON}")
        for name, part in self._parts.items():
            part.load_state_dict(parts[name])
        saved, now = state[PLACES], devices(self._parts.values())
        if now and saved != now:
            log.warning("the checkpoint was saved on %s; the job goes on on %s", ", ".join(saved), ", ".join(now))
        return found


def devices(parts: Iterable[Any]) -> list[str]:
    """The devices that the tensors of networks are on, such as `cpu` and `cuda:0`, as a checkpoint names them."""
    return sorted({str(tensor.device) for part in parts if isinstance(part, nn.Module) for tensor in part.parameters()})


def _read(path: Path) -> State | None:
    try:
        stored = read_stored(path, LARGEST)
    except FileNotFoundError:
        return None
    except Damaged as damaged:
        log.warning("%s and is left aside", damaged)
        return None
    head, _, rest = stored.partition(b"\n")
    version, content = head.removeprefix(HEADER), rest[32:]
    if stored.startswith((b"PK", b"\x80")):
        raise Unreadable(f"{path} is a bare pickle, not a checkpoint of format {FORMAT}{WAY_ON}")
    if not version.isdigit() or stored != checkpoint_bytes(int(version), content):
        log.warning("%s is damaged and left aside", path)
        return None
    if int(version) != FORMAT:
        raise Unreadable(f"{path} has format {int(version)}; this version reads format {FORMAT}{WAY_ON}")
    try:
        places: set[str] = set()
        state: State = torch.load(io.BytesIO(content), weights_only=True, map_location=_to_memory(places))
    except Exception as error:  # mostly UnpicklingError; the digest is right, so nothing has harmed the file
        raise Unreadable(f"{path} holds more than tensors and primitives{WAY_ON}") from error
    if not isinstance(state, dict) or not isinstance(state.get("epoch"), int):
        raise Unreadable(f"{path} does not say of which epoch it is{WAY_ON}")
    if state.get("attempt") != attempt(path.parent):
        log.warning("%s belongs to another job or an earlier attempt and is left aside", path)
        return None
    return {**state, PLACES: sorted(places)}


def _to_memory(places: set[str]) -> Callable[[Any, str], Any]:
    """Torch's hook for where a tensor goes: into memory, whatever device held it; each device is added to `places`.

    The parts move it on to their own devices, so that a job can go on where there is no such device.
    """

    def place(storage: Any, location: str) -> Any:
        places.add(location)
        return storage

    return place
