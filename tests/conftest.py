"""Runs the real command in a folder of the test's own."""

import fcntl
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from src.runs.sweep import Sweep
from tests.forks import Forked, clean_environment
from tests.world import World, configuration

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the slow fault tests go on."""
    parser.addoption("--kills", type=int, default=8, help="how often a sweep is killed at a random moment")
    parser.addoption("--sweeps", type=int, default=3, help="how many sweeps each of two people asks for")
    parser.addoption("--points", type=int, default=12, help="at how many statements a sweep is killed")
    parser.addoption("--fault-seed", type=int, default=1, help="what decides where")


def pytest_configure(config: pytest.Config) -> None:
    """Hide the machine's GPUs from all tests but those with the marker `gpu`, so they train on the CPU everywhere."""
    if "gpu" not in config.option.markexpr:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills; the workers of pytest-xdist share it, so no test may change it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, made = root / name, root / f"{name}.made"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def migrated(tmp_path_factory) -> Path:
    """An empty store's file: the first use of a new one takes seconds."""

    def make(folder: Path) -> None:
        from src.options import Tracking
        from src.tracking.store import open_store  # imports mlflow, which most tests do without

        with warnings.catch_warnings():  # MLflow 3.17 uses an option that SQLAlchemy 2.1 deprecates
            warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated")
            open_store(Tracking(uri=f"sqlite:///{folder / 'mlflow.db'}", experiment="other"), folder / "multirun")

    return made_once(tmp_path_factory, "empty-store", make) / "mlflow.db"


@pytest.fixture(scope="session")
def forked() -> Iterator[Forked]:
    """Starts commands as children of a process that has imported everything."""
    with Forked() as server:
        yield server


@pytest.fixture
def command(forked, tmp_path) -> Command:
    """`command("src.train", "norm=gn")` is `python -m src.train norm=gn`, typed in an empty folder."""
    return partial(forked.command, tmp_path)


@pytest.fixture(scope="session")
def quick_command() -> Iterator[Command]:
    """`quick_command(folder, "src.train", "norm=x")`, for commands that end before they import a slow module."""
    with Forked(quick=True) as server:
        yield server.command


def python(folder: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """What a new process of Python says to these words, typed in a folder."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=clean_environment() | variables,
        capture_output=True,
        text=True,
        timeout=240,
    )


def files_below(folder: Path) -> list[str]:
    """Every file and folder below `folder`, as relative paths."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "multirun")


@pytest.fixture
def six(world: World) -> Sweep:
    """Norms bn and gn, three seeds each; image 7 is wrong in all six runs, image 50 in bn s1 alone."""
    jobs = []
    for norm, extra in (("bn", (1, 2, 4)), ("gn", (3, 5, 9))):
        for seed, count in enumerate(extra):
            wrong = {7: 0.99} | {10 + k: 0.6 for k in range(count)}
            if (norm, seed) == ("bn", 1):
                wrong[50] = 0.8
            jobs.append(world.finish(configuration(norm, seed), wrong, val=0.95 - 0.01 * count, seconds=2.0 + seed))
    return world.sweep(jobs)


@pytest.fixture
def grey():
    """Thirty plain images, each of its own brightness."""
    return np.broadcast_to((8 * np.arange(30, dtype=np.uint8))[:, None, None, None], (30, 1, 28, 28)).copy()


@pytest.fixture
def words(monkeypatch):
    """All that is drawn in letters, by Pillow."""
    from PIL import ImageDraw

    said = []
    draw = ImageDraw.ImageDraw.text

    def listen(self, place, words, *rest, **named):
        said.append(words)
        draw(self, place, words, *rest, **named)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", listen)
    return said
