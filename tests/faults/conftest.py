"""One good store for all who plant something in it."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import python

SMALL = ("norm=bn,gn", "data=synthetic", "data.images=800", "data.validation=100", "epochs=2")


@pytest.fixture(scope="session")
def finished_sweep(tmp_path_factory) -> Path:
    """What the real command has left for two small jobs.  Not to be changed: `planted` is a copy."""
    folder = tmp_path_factory.mktemp("finished_sweep")
    done = python(folder, "-m", "src.train", *SMALL)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def planted(finished_sweep, tmp_path) -> Path:
    """A copy of the good store, to do harm to; its runs name the copy's artifacts."""
    folder = tmp_path / "planted"
    shutil.copytree(finished_sweep, folder)
    execute(folder, "UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", str(finished_sweep), str(folder))
    return folder


def execute(folder: Path, statement: str, *values: object) -> None:
    """Change the store behind MLflow's back."""
    connection = sqlite3.connect(folder / "mlflow.db")
    with connection:
        assert connection.execute(statement, values).rowcount, f"{statement} changes nothing"
    connection.close()
