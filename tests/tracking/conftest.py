"""A real job, trained once, and a real MLflow store, migrated once; each test gets copies."""

import shutil
from pathlib import Path

import pytest

from src.job import run_job
from src.options import Tracking
from src.runs.folder import JobFolder
from src.runs.identity import identity, job_key
from src.runs.sweep import PlannedJob
from src.tracking.store import Store, open_store
from tests.tracking.pages import CHROMIUM, CHROMIUM_FLAGS
from tests.tracking.servers import Proxy, serving
from tests.world import DATA, configuration


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
    return open_store(Tracking("sqlite", f"sqlite:///{path}", "normlab"), tmp_path / "multirun")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is NOT tested")
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: what MLflow's page shows is NOT tested")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_FLAGS)
        # One profile for all tests, so that the page's scripts are compiled once; cards off screen are not mounted.
        yield browser.new_context(viewport={"width": 1600, "height": 3600})
        browser.close()


@pytest.fixture
def page(browser):
    """A new window; at the end nothing unexpected may stand in its log."""
    page = browser.new_page()
    page.set_default_timeout(60_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("response", lambda response: problems.append(response.url) if response.status >= 400 else None)
    yield page
    page.close()
    assert [problem for problem in problems if "/users/current" not in problem] == []  # one that every page asks for


@pytest.fixture(scope="session")
def running(migrated, tmp_path_factory):
    with serving(migrated, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(running):
    """The server, with an empty store."""
    running.empty()
    return running


@pytest.fixture
def proxy(server):
    proxy = Proxy(server)
    yield proxy
    proxy.close()
