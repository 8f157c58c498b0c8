"""Writes and reads a job's journal, which has one line of JSON with a checksum per record."""

import contextlib
import json
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from src.runs.shapes import record_fault
from src.storage.files import add_path_to_errors, flush_folder_to_disk, flush_to_disk
from src.storage.stored import DamagedFile, is_regular, parse_json, read_stored

Record = dict[str, Any]


class Journal(contextlib.AbstractContextManager["Journal"]):
    """Appends records to `journal.jsonl`.

    Each record has a `kind` and a `time` in milliseconds since 1970.  A `start` record holds the configuration, the
    environment and the code, `ready` the dataset and the device, `epoch` metrics, `stop` an error, and `resume` the
    environment and the device.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        """Start a journal, or resume one and cut off its first damaged line with all that follows.

        Raises DamagedFile if anything but a regular file is at the path.
        """
        if path.exists() and not is_regular(path):  # a link may point to a file that does not exist yet
            raise DamagedFile(path, "is not a regular file")
        content = _read_content(path) if resume else b""
        self._records = list(_undamaged_records(content))
        self._path = path
        self._file = path.open("r+b" if self._records else "wb", buffering=0)
        self._size = sum(map(len, content.splitlines(keepends=True)[: len(self._records)]))  # bytes of undamaged lines
        self._cut_partial_line()
        flush_folder_to_disk(path.parent)

    def _cut_partial_line(self) -> None:
        """Cut off a partial last line and move to the end of the file."""
        self._file.truncate(self._size)
        self._file.seek(self._size)

    def has(self, kind: str) -> bool:
        """Whether the journal has a record of this kind."""
        return any(record["kind"] == kind for record in self._records)

    def append(self, record: Record) -> None:
        """Write a record and wait until it is on disk, or raise OSError without leaving a partial line.

        Skips an epoch that is already recorded.
        """
        if record["kind"] == "epoch" and record["epoch"] <= last_epoch(self._records):
            return
        line = encode_record(record)
        with add_path_to_errors(self._path):
            try:
                written_count = 0
                while written_count < len(line):  # a nearly full disk may accept only part of it
                    written_count += self._file.write(line[written_count:])
                flush_to_disk(self._file.fileno())
            except OSError:
                self._cut_partial_line()
                raise
        self._size += len(line)
        self._records.append(record)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def stamp(kind: str, **values: Any) -> Record:
    """Return a record with the current time."""
    return {"kind": kind, "time": time.time_ns() // 1_000_000, **values}


def last_epoch(records: Iterable[Record]) -> int:
    """Return the number of the last recorded epoch, or 0 before the first."""
    return max((record["epoch"] for record in records if record["kind"] == "epoch"), default=0)


def encode_record(record: Record) -> bytes:
    """Return a record as a line of JSON that ends with the record's CRC-32."""
    body = json.dumps(record, separators=(",", ":"))
    return f'{body[:-1]},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def decode_line(line: bytes) -> Record | None:
    """Return the record in a journal line, or None if the line is damaged; does not check the record's fields."""
    head, separator, tail = line.rpartition(b',"crc":"')
    if not separator or tail[8:] != b'"}\n' or tail[:8] != f"{zlib.crc32(head + b'}'):08x}".encode():
        return None
    try:
        record = parse_json(head + b"}")
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def read_journal(path: Path) -> list[Record]:
    """Return a journal's records before its first damaged line; no records if there is no regular file."""
    return list(_undamaged_records(_read_content(path)))


def read_finished_journal(path: Path) -> tuple[list[Record], str]:
    """Return a finished job's records before the first damaged line, and the journal's fault or an empty string."""
    try:
        content = read_stored(path)
    except FileNotFoundError:
        return [], "is missing"
    except DamagedFile as damaged:
        return [], damaged.reason
    records, lines = list(_undamaged_records(content)), content.splitlines(keepends=True)
    if len(records) == len(lines):
        return records, ""
    record = decode_line(lines[len(records)])
    return records, f"line {len(records) + 1} {'is damaged' if record is None else record_fault(record)}"


def read_first_line(path: Path) -> bytes:
    """Return a journal's first line, which differs for each attempt because it holds the configuration and time."""
    return _read_content(path).partition(b"\n")[0]


def _read_content(path: Path) -> bytes:
    try:
        return read_stored(path)
    except (FileNotFoundError, DamagedFile):  # another process may be moving the folder
        return b""


def _undamaged_records(content: bytes) -> Iterator[Record]:
    for line in content.splitlines(keepends=True):
        record = decode_line(line)
        if record is None or record_fault(record):
            return
        yield record
