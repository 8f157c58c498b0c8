"""Killed just before any statement that runs while something is written, a sweep's rerun leaves what it would have."""

import random
import shutil
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import src.compare
import src.errors.atlas
import src.figures.figures
import src.job  # with all of these imported, a forked child starts at once
import src.report.table
import src.tracking.session
import src.train
from src.training.optimizers import make_optimizer  # noqa: F401
from tests.faults.crash_points import Point, in_child, kill_at, passed
from tests.faults.promises import Snapshot, check_after_kill, check_store, snapshot

# The process that runs the tests has threads of its own, which its children do not need.
pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    # MLflow 3.17 asks SQLAlchemy 2.1 for something that a later one will not have.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]

WORDS = (
    "-m norm=bn,gn data=synthetic data.images=300 data.test_images=100 data.validation=50 data.batch_size=32 "
    "model.width=4 epochs=3 hydra/launcher=basic"
)
# Where the disk is written to, in the modules that a job writes by: the ordinary tests die here.
WRITES = ("fsync", ".write(", "replace(", "unlink(", "rename(", ".truncate(", "sync_folder(", "write_atomic(")


def command() -> None:
    sys.argv = ["train.py", *WORDS.split()]
    src.train.main()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, migrated) -> Path:
    """What the undisturbed command leaves."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copy(migrated, folder / "mlflow.db")
    assert in_child(command, folder) == 0, (folder / "told.txt").read_text()
    check_store(folder)
    return folder


@pytest.fixture(scope="module")
def points(tmp_path_factory, migrated) -> "Counter[Point]":
    """What the command passes in a new folder."""
    folder = tmp_path_factory.mktemp("points")
    shutil.copy(migrated, folder / "mlflow.db")
    return passed(command, folder)


@pytest.fixture
def chance(request) -> random.Random:
    return random.Random(request.config.getoption("--fault-seed"))


def die(point: Point, folder: Path) -> None:
    status = in_child(command, folder, kill_at(point))
    assert status == -signal.SIGKILL, f"{point} was not come to: {(folder / 'told.txt').read_text()}"


def go_on(point: Point, folder: Path, whole: Path, before: Snapshot) -> None:
    """Look at what a kill has left, type the command again, and look at all that it promises."""
    try:
        now = check_after_kill(folder / "multirun", before)
        assert in_child(command, folder) == 0, (folder / "told.txt").read_text()
        check_store(folder, whole, before=now)
    except AssertionError as broken:
        raise AssertionError(f"killed before {point}: {broken}") from broken


def chosen(points: "Counter[Point]", number: int, chance: random.Random) -> list[Point]:
    """So many of the points, each at one of the times that it is passed; how often a thread polls is not certain."""
    among = chance.sample(sorted(points), min(number, len(points)))
    return [replace(point, hit=chance.randint(1, max(points[point] // 3, 1))) for point in sorted(among)]


def new_folder(path: Path, migrated: Path) -> Path:
    path.mkdir()
    shutil.copy(migrated, path / "mlflow.db")
    return path


def test_the_traced_command_reaches_every_module_that_writes(points):
    modules = {point.module for point in points}
    assert {f"src/runs/{name}.py" for name in ("files", "journal", "checkpoint", "lock", "folder")} <= modules
    assert {"src/tracking/delivery.py", "src/tracking/session.py", "src/job.py", "src/training/loop.py"} <= modules


def test_a_sweep_killed_at_a_write_ends_like_an_uninterrupted_one(points, chance, tmp_path, whole, migrated):
    writing = Counter({point: hits for point, hits in points.items() if any(word in point.text for word in WRITES)})
    assert len(writing) >= 15
    for number, point in enumerate(chosen(writing, 3, chance)):
        folder = new_folder(tmp_path / str(number), migrated)
        die(point, folder)
        go_on(point, folder, whole, {})


@pytest.mark.slow
def test_a_sweep_killed_anywhere_ends_like_an_uninterrupted_one(request, points, chance, tmp_path, whole, migrated):
    number = request.config.getoption("--points")
    for index, point in enumerate(chosen(points, number, chance)):
        folder = new_folder(tmp_path / str(index), migrated)
        die(point, folder)
        go_on(point, folder, whole, {})
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_sweep_killed_while_it_resumes_ends_like_an_uninterrupted_one(
    request, points, chance, tmp_path, whole, migrated
):
    middle = next(replace(point, hit=2) for point in points if point.text == "journal.append(record)")
    folder = new_folder(tmp_path / "points", migrated)
    die(middle, folder)
    again = passed(command, folder)
    new = Counter({point: hits for point, hits in again.items() if point not in points})
    assert any("restore" in point.text or "resume" in point.text for point in new)
    for index, point in enumerate(chosen(new, request.config.getoption("--points"), chance)):
        folder = new_folder(tmp_path / str(index), migrated)
        die(middle, folder)
        before = snapshot(folder / "multirun")
        die(point, folder)
        go_on(point, folder, whole, before)
        shutil.rmtree(folder)
