"""An undamaged store, and copies to plant violations in."""

import shutil
import sqlite3
from pathlib import Path

import pytest


@pytest.fixture
def planted(reference, tmp_path) -> Path:
    """A copy of the sweep's folder; its runs have the copy's artifacts."""
    folder = tmp_path / "planted"
    shutil.copytree(reference, folder)
    execute(folder, "UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", str(reference), str(folder))
    return folder


def execute(folder: Path, statement: str, *values: object) -> None:
    """Change the store without MLflow."""
    connection = sqlite3.connect(folder / "mlflow.db")
    with connection:
        assert connection.execute(statement, values).rowcount, f"{statement} changes nothing"
    connection.close()
