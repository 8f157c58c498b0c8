"""Damage the files of a finished job or a sweep: cut, flip, retype, swap, or replace them."""

import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from src.runs.journal import encode_record, read_journal

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 7, 10**12, 10**30, 0.5, -0.5, 1e308, float("inf"), float("nan")),
    *("", "x", "0" * 64, "../..", "\ud800", [], {}, ["a"], [[]], {"a": {}}),
)
DEEP = "[" * 100_000 + "]" * 100_000
COLLECTIONS = (dict, list)


def random_bytes(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(chance.choice([1, 100, 5000])))


def cut(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def lengthen(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes() + chance.choice([b"\n", b"\xff", b"{}\n", b"x" * 100_000]))


def remove(path: Path, chance: random.Random) -> None:
    path.unlink()


def replace(path: Path, chance: random.Random) -> None:
    """Put a folder, a pipe or a link to nothing in a file's place."""
    path.unlink()
    make = chance.choice([Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nothing")])
    make(path)


def retype(path: Path, chance: random.Random) -> None:
    """Change or remove one value of the JSON; a journal gets correct checksums."""
    if path.suffix == ".jsonl":
        records = read_journal(path)
        change(records[chance.randrange(len(records))], chance)
        path.write_bytes(b"".join(map(encode_record, records)))
        return
    tree = json.loads(path.read_bytes())
    if chance.random() < 0.1:
        path.write_text(DEEP if chance.random() < 0.5 else json.dumps(chance.choice(VALUES)))
        return
    if chance.random() < 0.9:
        del tree["crc"]  # like older versions
    change(tree, chance)
    path.write_text(json.dumps(tree))


def change(tree: Any, chance: random.Random) -> None:
    places = list(below(tree))
    parent, name = chance.choice(places)
    if chance.random() < 0.25:
        del parent[name]
    else:
        parent[name] = chance.choice(VALUES)


def below(tree: Any) -> Iterator[tuple[Any, Any]]:
    for name in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, name
        if isinstance(tree[name], COLLECTIONS):
            yield from below(tree[name])


def reorder(path: Path, chance: random.Random) -> None:
    """Remove, double or exchange whole records of a journal."""
    records = read_journal(path)
    place, other = chance.randrange(len(records)), chance.randrange(len(records))
    what = chance.choice(["drop", "double", "exchange"])
    if what == "drop":
        del records[place]
    elif what == "double":
        records.insert(other, records[place])
    else:
        records[place], records[other] = records[other], records[place]
    path.write_bytes(b"".join(map(encode_record, records)))


def rewrite(path: Path, chance: random.Random) -> None:
    """Rewrite the archive with one array missing, of another shape, type or compression, or with a false header."""
    with np.load(path) as stored:
        arrays = dict(stored)
    name = chance.choice(["label", "predicted", "probabilities"])
    what = chance.choice(["drop", "short", "type", "nan", "lie", "encrypt", "method", "object", "add", "big"])
    found = arrays[name]
    if what == "drop":
        del arrays[name]
    elif what == "short":
        arrays[name] = found[: chance.randrange(len(found))]
    elif what == "type":
        arrays[name] = found.astype(chance.choice([np.float64, np.int8, np.complex64, "U3", bool]))
    elif what == "nan":
        arrays[name] = np.full(found.shape, chance.choice([np.nan, -1, 2, 1e30]))
    elif what == "object":
        arrays[name] = np.array([{"a": 1}] * len(found), dtype=object)
    elif what == "add":
        arrays[name] = found + 1
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=True, **arrays)
    content = bytearray(path.read_bytes())
    if what == "lie":
        lie(path, name, (10**12, 10) if name == "probabilities" else (10**12,))
    elif what in ("encrypt", "method"):
        for place in places_of(content, b"PK\x01\x02"):
            content[place + (8 if what == "encrypt" else 10)] = 1 if what == "encrypt" else 99
        path.write_bytes(content)
    elif what == "big":  # a false size in the central directory
        for place in places_of(content, b"PK\x01\x02"):
            content[place + 24 : place + 28] = b"\xff\xff\xff\x7f"
        path.write_bytes(content)


def places_of(content: bytes | bytearray, mark: bytes) -> Iterator[int]:
    place = content.find(mark)
    while place >= 0:
        yield place
        place = content.find(mark, place + 1)


def lie(path: Path, name: str, shape: tuple[int, ...]) -> None:
    """Write an array whose header claims another shape than its content has."""
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    head = io.BytesIO()
    kind = "<f4" if name == "probabilities" else "<i8"
    np.lib.format.write_array_header_1_0(head, {"descr": kind, "fortran_order": False, "shape": shape})
    members[f"{name}.npy"] = head.getvalue() + bytes(1000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def swap(path: Path, chance: random.Random) -> None:
    """Exchange the file with another job's."""
    others = [folder / path.name for folder in path.parents[1].iterdir() if folder != path.parent]
    others = [other for other in others if other.exists()]
    other = chance.choice(others or [path])
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)


Harm = Callable[[Path, random.Random], None]
ANY: tuple[Harm, ...] = (random_bytes, cut, flip, lengthen, remove, replace, swap)
SPECIAL: dict[str, tuple[Harm, ...]] = {
    "journal.jsonl": (retype, retype, retype, reorder, reorder),
    "result.json": (retype, retype, retype),
    "manifest.json": (retype, retype, retype),
    "predictions.npz": (rewrite, rewrite, rewrite, rewrite),
}


def plant(multirun: Path, chance: random.Random) -> tuple[Path, str]:
    """Damage one file of one job or sweep; returns its path and the kind of damage."""
    files = sorted(path for path in multirun.rglob("*") if path.is_file() and path.name != "lock")
    names = sorted({path.name for path in files})
    name = chance.choice([*names, *(name for name in SPECIAL if name in names for _ in range(3))])
    path = chance.choice([path for path in files if path.name == name])
    harm = chance.choice(ANY + SPECIAL.get(name, ()))
    harm(path, chance)
    return path, harm.__name__


def restore(multirun: Path, whole: Path) -> None:
    shutil.rmtree(multirun)
    shutil.copytree(whole, multirun)
