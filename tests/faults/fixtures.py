"""Forked commands, a store to begin with, and what a small sweep leaves when nothing disturbs it."""

import shutil

import pytest

from tests.faults.commands import SWEEP
from tests.faults.forked import Forked
from tests.faults.promises import check_store


@pytest.fixture(scope="session")
def forked():
    with Forked() as server:
        yield server


@pytest.fixture(scope="session")
def tables(forked, tmp_path_factory):
    """A store with its tables and nothing in them."""
    folder = tmp_path_factory.mktemp("tables")
    done = forked.run(folder, module="tests.faults.forked")
    assert done.status == 0, done.said
    return folder / "mlflow.db"


@pytest.fixture
def empty(tables, tmp_path):
    """A folder with such a store."""
    folder = tmp_path / "here"
    folder.mkdir()
    shutil.copy(tables, folder)
    return folder


@pytest.fixture(scope="session")
def reference(forked, tables, tmp_path_factory):
    """What `SWEEP` leaves.  Not to be changed."""
    folder = tmp_path_factory.mktemp("reference")
    shutil.copy(tables, folder)
    done = forked.run(folder, *SWEEP)
    assert done.status == 0, done.said
    check_store(folder)
    return folder
