"""A real job, trained once, and a real MLflow store, migrated once; each test gets copies."""

import shutil
from pathlib import Path

import pytest

from src.config import Tracking
from src.job import run_job
from src.runs.folder import JobFolder, PlannedJob
from src.runs.identity import identity, job_key
from src.tracking.store import Store, open_store
from tests.comparison.conftest import DATA, configuration


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "job"
    run_job(configuration("gn", l1=1e-4, data=DATA), folder)
    return folder


@pytest.fixture
def job(trained, tmp_path) -> JobFolder:
    return JobFolder(Path(shutil.copytree(trained, tmp_path / "multirun/jobs/job")))


@pytest.fixture
def planned(job) -> PlannedJob:
    config = configuration("gn", l1=1e-4)
    key = job.records()[1]["job"]
    assert key == job_key(identity(config, job.records()[1]["source"]["digest"]))
    return PlannedJob(key, "job", "gn l1=0.0001 s0", "gn l1=0.0001", {"norm.name": "gn", "reg.l1": "0.0001"})


@pytest.fixture
def store(migrated, tmp_path) -> Store:
    path = shutil.copy(migrated, tmp_path / "mlflow.db")
    return open_store(Tracking("sqlite", f"sqlite:///{path}", "normlab"), tmp_path / "multirun" / "artifacts")
