"""Read a store and job folders without the code that wrote them."""

import csv
import hashlib
import io
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import safetensors.numpy
import torch
from omegaconf import OmegaConf
from PIL import Image

from src.runs.journal import decode_line

Row = tuple[str, int, int, float]  # key, step, time, value


@dataclass(frozen=True)
class StoredRun:
    """A run as stored in the tables of `mlflow.db`."""

    id: str
    name: str
    status: str
    lifecycle: str
    artifacts: Path
    tags: dict[str, str]
    params: dict[str, str]
    metrics: list[Row]
    latest: list[Row]


def read_runs(database: Path, artifact_root: Path | None = None) -> list[StoredRun]:
    """Return all runs, deleted ones included; an empty list if the tables do not exist yet.

    Reads a copy: the first process that opens a database after a kill rolls back the interrupted transaction, and that
    must be the program under test.
    """
    if not database.exists():
        return []
    with tempfile.TemporaryDirectory() as scratch:
        while True:
            try:
                for path in sorted(database.parent.glob(f"{database.name}*")):  # the rollback journal too
                    shutil.copy(path, scratch)
                break
            except FileNotFoundError:  # a command that still runs has deleted the journal, so the copy may be torn
                continue
        connection = sqlite3.connect(Path(scratch, database.name))
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            return _read_runs(connection, artifact_root) if "latest_metrics" in tables else []
        finally:
            connection.close()


def _read_runs(connection: sqlite3.Connection, artifact_root: Path | None) -> list[StoredRun]:
    def metrics(table: str, run: str) -> list[Row]:
        columns = "key, step, timestamp, CASE WHEN is_nan THEN 'NaN' ELSE value END"
        rows = connection.execute(f"SELECT {columns} FROM {table} WHERE run_uuid = ?", [run]).fetchall()
        return [row for row in rows if not row[0].startswith("system/")]

    def words(table: str, run: str) -> dict[str, str]:
        return dict(connection.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ?", [run]).fetchall())

    rows = connection.execute("SELECT run_uuid, name, status, lifecycle_stage, artifact_uri FROM runs").fetchall()
    return [
        StoredRun(
            *row[:4],
            artifacts=artifact_folder(row[4], artifact_root),
            tags=words("tags", row[0]),
            params=words("params", row[0]),
            metrics=metrics("metrics", row[0]),
            latest=metrics("latest_metrics", row[0]),
        )
        for row in rows
    ]


def artifact_folder(uri: str, artifact_root: Path | None) -> Path:
    parts = urlparse(uri)
    if parts.scheme == "mlflow-artifacts":
        assert artifact_root is not None, f"where does the server keep {uri}?"
        return artifact_root / unquote(parts.path).lstrip("/")
    return Path(unquote(parts.path))


def damage(path: Path, *, torn_line: bool = False) -> str:
    """Return what is wrong with a file; an empty string for undamaged files and unknown kinds."""
    if path.name == "journal.jsonl":
        return _damaged_lines(path, torn_line=torn_line)
    if path.name.startswith("checkpoint-"):
        return "" if checkpoint_epoch(path) else "damaged"
    try:
        READERS.get(path.suffix, lambda _: None)(path)
    except Exception as error:  # each reader raises other errors
        return f"{type(error).__name__}: {error}"
    return ""


def _damaged_lines(path: Path, *, torn_line: bool) -> str:
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = [number for number, line in enumerate(lines, start=1) if decode_line(line) is None]
    if torn_line and damaged == [len(lines)] and not lines[-1].endswith(b"\n"):
        return ""
    return f"line {damaged[0]} of {len(lines)} is damaged" if damaged else ""


def checkpoint_epoch(path: Path) -> int | None:
    """Return a checkpoint's epoch, None if it is damaged."""
    head, newline, rest = path.read_bytes().partition(b"\n")
    digest, content = rest[:32], rest[32:]
    if hashlib.sha256(head + newline + content).digest() != digest:
        return None
    return int(torch.load(io.BytesIO(content), weights_only=True)["epoch"])


def _read_arrays(path: Path) -> None:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
        for name in stored.files:
            stored[name]  # zipfile checks the CRC here


def _read_picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


def _read_table(path: Path) -> None:
    rows = list(csv.reader(path.read_text().splitlines(), strict=True))
    if len({len(row) for row in rows}) != 1 or not path.read_text().endswith("\n"):
        raise ValueError("the rows differ in length, or the last one is cut")


READERS: dict[str, Callable[[Path], Any]] = {
    ".json": lambda path: json.loads(path.read_bytes()),
    ".npz": _read_arrays,
    ".png": _read_picture,
    ".webp": _read_picture,
    ".safetensors": lambda path: safetensors.numpy.load(path.read_bytes()),
    ".csv": _read_table,
    ".yaml": OmegaConf.load,
}
