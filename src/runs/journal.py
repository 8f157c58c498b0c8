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
    `ready` what data and network came of it, then there is one `epoch` each, and a `stop` where the job did not finish.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        sync_folder(path.parent)

    def append(self, kind: str, **values: Any) -> None:
        """Write one record and wait until the disk has it."""
        self._file.write(encode({"kind": kind, "time": time.time_ns() // 1_000_000, **values}))
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


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
