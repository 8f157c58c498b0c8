"""An empty store, and the folder of an uninterrupted sweep."""

import shutil

import pytest

from tests.conftest import made_once
from tests.faults.commands import SWEEP
from tests.faults.promises import check_store


@pytest.fixture
def empty(migrated, tmp_path):
    """A folder with an empty store."""
    folder = tmp_path / "here"
    folder.mkdir()
    shutil.copy(migrated, folder)
    return folder


@pytest.fixture(scope="session")
def reference(forked, migrated, tmp_path_factory):
    """The folder of an uninterrupted `SWEEP`; tests must not change it."""

    def make(folder):
        shutil.copy(migrated, folder)
        done = forked.run(folder, *SWEEP)
        assert done.status == 0, done.said
        check_store(folder)

    return made_once(tmp_path_factory, "reference", make)
