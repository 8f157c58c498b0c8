"""A sweep killed just before any statement that writes, and run again, ends like an uninterrupted one."""

import random
import shutil
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.crash_points import Point, die_at, passed
from tests.faults.promises import Snapshot, check_after_kill, check_store, snapshot
from tests.forks import Forked

WORDS = [
    "-m",
    "norm=bn,gn",
    "data=synthetic",
    "data.images=300",
    "data.test_images=100",
    "data.validation=50",
    "data.batch_size=32",
    "model.width=4",
    "epochs=3",
    "hydra/launcher=basic",
]
# Statements with these words write to the disk; the fast test kills there.
WRITES = ("fsync", ".write(", "replace(", "unlink(", "rename(", ".truncate(", "flush_folder_to_disk(", "write_atomic(")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The folder of an uninterrupted command, which `points` fills."""
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def points(forked, whole, migrated) -> "Counter[Point]":
    """The points that an uninterrupted command passes."""
    shutil.copy(migrated, whole / "mlflow.db")
    found = passed(forked, WORDS, whole)
    check_store(whole)
    return found


@pytest.fixture
def chance(request) -> random.Random:
    return random.Random(request.config.getoption("--fault-seed"))


def die(forked: Forked, point: Point, folder: Path) -> None:
    done = forked.run(folder, *WORDS, before=(die_at.__module__, die_at.__name__, point.module, point.line, point.hit))
    assert done.status == -signal.SIGKILL, f"{point} was not reached: {done.said}"


def run_again(forked: Forked, point: Point, folder: Path, whole: Path, before: Snapshot) -> None:
    """Check the folder after a kill, run the command again, and check all promises."""
    try:
        now = check_after_kill(folder / "multirun", before)
        done = forked.run(folder, *WORDS)
        assert done.status == 0, done.said
        check_store(folder, whole, before=now)
    except AssertionError as broken:
        raise AssertionError(f"killed before {point}: {broken}") from broken


def chosen(points: "Counter[Point]", number: int, chance: random.Random) -> list[Point]:
    """Draw points, each with a random visit; only early visits are certain, since a thread polls."""
    among = chance.sample(sorted(points), min(number, len(points)))
    return [replace(point, hit=chance.randint(1, max(points[point] // 3, 1))) for point in sorted(among)]


def new_folder(path: Path, migrated: Path) -> Path:
    path.mkdir()
    shutil.copy(migrated, path / "mlflow.db")
    return path


def test_the_traced_command_reaches_every_module_that_writes(points):
    modules = {point.module for point in points}
    assert {f"src/runs/{name}.py" for name in ("journal", "checkpoint", "folder")} <= modules
    assert {"src/storage/files.py", "src/storage/lock.py"} <= modules
    assert {"src/tracking/delivery.py", "src/tracking/session.py", "src/job.py", "src/training/loop.py"} <= modules


def test_a_sweep_killed_at_a_write_ends_like_an_uninterrupted_one(forked, points, chance, tmp_path, whole, migrated):
    writing = Counter({point: hits for point, hits in points.items() if any(word in point.text for word in WRITES)})
    assert len(writing) >= 15
    for number, point in enumerate(chosen(writing, 3, chance)):
        folder = new_folder(tmp_path / str(number), migrated)
        die(forked, point, folder)
        run_again(forked, point, folder, whole, {})


@pytest.mark.slow
def test_a_sweep_killed_anywhere_ends_like_an_uninterrupted_one(
    request, forked, points, chance, tmp_path, whole, migrated
):
    number = request.config.getoption("--points")
    for index, point in enumerate(chosen(points, number, chance)):
        folder = new_folder(tmp_path / str(index), migrated)
        die(forked, point, folder)
        run_again(forked, point, folder, whole, {})
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_sweep_killed_while_it_resumes_ends_like_an_uninterrupted_one(
    request, forked, points, chance, tmp_path, whole, migrated
):
    middle = next(replace(point, hit=2) for point in points if point.text == "journal.append(record)")
    folder = new_folder(tmp_path / "points", migrated)
    die(forked, middle, folder)
    again = passed(forked, WORDS, folder)
    new = Counter({point: hits for point, hits in again.items() if point not in points})
    assert any("restore" in point.text or "resume" in point.text for point in new)
    for index, point in enumerate(chosen(new, request.config.getoption("--points"), chance)):
        folder = new_folder(tmp_path / str(index), migrated)
        die(forked, middle, folder)
        before = snapshot(folder / "multirun")
        die(forked, point, folder)
        run_again(forked, point, folder, whole, before)
        shutil.rmtree(folder)
