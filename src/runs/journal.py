"""A job's journal: one line of JSON an epoch, each with its own time and checksum, on the disk before it counts."""

import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from src.runs.files import sync_folder

Record = dict[str, Any]


class Journal:
    """Appends to `journal.jsonl`.

    A record carries `kind` and `time`, milliseconds since 1970.  `start` says what was asked for and where it runs,
    `ready` what data and network came of it, then there is one `epoch` each; a `stop` where the job broke off, and a
    `resume` where it went on.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        """Begin a journal, or go on with the one that is there; what follows its first harmed line is cut off."""
        self._records = read_journal(path) if resume else []
        self._file = path.open("r+b" if self._records else "wb")
        self._file.truncate(sum(len(encode(record)) for record in self._records))
        self._file.seek(0, os.SEEK_END)
        sync_folder(path.parent)

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
        """
        if record["kind"] == "epoch" and record["epoch"] <= self.last_epoch:
            return
        self._file.write(encode(record))
        self._file.flush()
        os.fsync(self._file.fileno())
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
    """The record of a whole and unharmed line, else None."""
    head, mark, tail = line.rpartition(b',"crc":"')
    if not mark or tail[8:] != b'"}\n' or tail[:8] != f"{zlib.crc32(head + b'}'):08x}".encode():
        return None
    record: Record = json.loads(head + b"}")
    return record


def read_journal(path: Path) -> list[Record]:
    """The records up to the first torn or harmed line; none where there is no file."""
    return list(_records(path.read_bytes())) if path.exists() else []


def _records(content: bytes) -> Iterator[Record]:
    for line in content.splitlines(keepends=True):
        record = decode(line)
        if record is None:
            return
        yield record
