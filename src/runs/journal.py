"""A job's journal: one line of JSON an epoch, each with its own time and checksum, on the disk before it counts."""

import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from src.runs.shapes import record_fault
from src.storage.files import flush_to_disk, named, sync_folder
from src.storage.stored import Damaged, is_regular, parsed, read_stored

Record = dict[str, Any]


class Journal:
    """Appends to `journal.jsonl`.

    A record carries `kind` and `time`, milliseconds since 1970.  `start` says what was asked for and where it runs,
    `ready` what data and network came of it, then there is one `epoch` each; a `stop` where the job broke off, and a
    `resume` where it went on.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        """Begin a journal, or go on with the one that is there; what follows its first harmed line is cut off.

        Raises:
            Damaged: where something else than a file is in its place.
        """
        if path.exists() and not is_regular(path):  # a link may name a file that is not there yet
            raise Damaged(path, "is no regular file")
        content = _content(path) if resume else b""
        self._records = list(_records(content))
        self._path = path
        self._file = path.open("r+b" if self._records else "wb", buffering=0)
        self._size = sum(map(len, _lines(content)[: len(self._records)]))  # of the whole lines
        self._cut()
        sync_folder(path.parent)

    def _cut(self) -> None:
        """Leave whole lines alone in the file, and go to their end."""
        self._file.truncate(self._size)
        self._file.seek(self._size)

    @property
    def last_epoch(self) -> int:
        """The last epoch that it holds, 0 for none."""
        return max((record["epoch"] for record in self._records if record["kind"] == "epoch"), default=0)

    def has(self, kind: str) -> bool:
        """Whether it holds a record of a kind."""
        return any(record["kind"] == kind for record in self._records)

    def append(self, record: Record) -> None:
        """Write one record and wait until the disk has it.

        An epoch that it holds already is left as it is: it has been computed again, to the same numbers.

        Raises:
            OSError: where the disk is full, say; no part of the line stays.
        """
        if record["kind"] == "epoch" and record["epoch"] <= self.last_epoch:
            return
        line = encode(record)
        with named(self._path):
            try:
                written = 0
                while written < len(line):  # a part may have room, and the rest then says why it has none
                    written += self._file.write(line[written:])
                flush_to_disk(self._file.fileno())
            except OSError:
                self._cut()
                raise
        self._size += len(line)
        self._records.append(record)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def stamp(kind: str, **values: Any) -> Record:
    """A record of this moment."""
    return {"kind": kind, "time": time.time_ns() // 1_000_000, **values}


def encode(record: Record) -> bytes:
    """A record as a line, its CRC-32 as the last member of the JSON object."""
    body = json.dumps(record, separators=(",", ":"))
    return f'{body[:-1]},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def decode(line: bytes) -> Record | None:
    """The record of a whole and unharmed line, else None; its fields are not looked at."""
    head, mark, tail = line.rpartition(b',"crc":"')
    if not mark or tail[8:] != b'"}\n' or tail[:8] != f"{zlib.crc32(head + b'}'):08x}".encode():
        return None
    try:
        record = parsed(head + b"}")
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def read_journal(path: Path) -> list[Record]:
    """The records up to the first torn or harmed line; none where there is no regular file."""
    return list(_records(_content(path)))


def read_finished(path: Path) -> tuple[list[Record], str]:
    """The same records, and what is wrong with the file where it holds or should hold more; empty for nothing."""
    try:
        content = read_stored(path)
    except FileNotFoundError:
        return [], "is missing"
    except Damaged as damaged:
        return [], damaged.what
    records = list(_records(content))
    lines = _lines(content)
    if len(records) == len(lines):
        return records, ""
    record = decode(lines[len(records)])
    return records, f"line {len(records) + 1} {'is damaged' if record is None else record_fault(record)}"


def first_line(path: Path) -> bytes:
    """What tells an attempt at a job from every other, of the same job or another: configuration, code and time."""
    return _content(path).partition(b"\n")[0]


def _content(path: Path) -> bytes:
    try:
        return read_stored(path)
    except (FileNotFoundError, Damaged):  # or moved away together with its folder since somebody looked
        return b""


def _records(content: bytes) -> Iterator[Record]:
    for line in _lines(content):
        record = decode(line)
        if record is None or record_fault(record):
            return
        yield record


def _lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)
