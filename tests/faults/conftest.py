"""An undamaged store, and copies to plant violations in."""

import shutil
import sqlite3
from pathlib import Path

import pytest

SMALL = ("norm=bn,gn", "data=synthetic", "data.images=800", "data.validation=100", "epochs=2")


@pytest.fixture
def planted(finished_sweep, tmp_path) -> Path:
    """A copy of the sweep's folder; its runs have the copy's artifacts."""
    folder = tmp_path / "planted"
    shutil.copytree(finished_sweep, folder)
    execute(folder, "UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", str(finished_sweep), str(folder))
    return folder


def execute(folder: Path, statement: str, *values: object) -> None:
    """Change the store without MLflow."""
    connection = sqlite3.connect(folder / "mlflow.db")
    with connection:
        assert connection.execute(statement, values).rowcount, f"{statement} changes nothing"
    connection.close()
