"""A real job that is trained once and a real MLflow store that is migrated once: each test gets copies."""

import shutil
from pathlib import Path

import pytest

from src.job import run_job
from src.options import Tracking
from src.runs.folder import JobFolder
from src.runs.identity import identity, job_key
from src.runs.sweep import PlannedJob, Sweep
from src.tracking.store import Store, open_store
from tests.tracking.servers import Proxy, serving
from tests.world import DATA, configuration

CHROMIUM = Path("/usr/bin/chromium")  # playwright's own download has 170 MB
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Ignore a warning in this folder's tests: MLflow 3.17 uses a deprecated part of SQLAlchemy 2.1."""
    item.add_marker(pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"))


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
def sweep(planned, tmp_path) -> Sweep:
    sweep = Sweep("5" * 64, "python -m src.train norm=gn", 1_700_000_000_000, ["norm.name"], [planned])
    sweep.write(tmp_path / "multirun")
    return sweep


@pytest.fixture
def store(migrated, tmp_path) -> Store:
    path = shutil.copy(migrated, tmp_path / "mlflow.db")
    return open_store(Tracking(uri=f"sqlite:///{path}", experiment="normlab"), tmp_path / "multirun")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is NOT tested")
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: what MLflow's page shows is NOT tested")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_FLAGS)
        # One profile compiles the page's scripts once for all tests. The tall window mounts all cards.
        yield browser.new_context(viewport={"width": 1600, "height": 3600})
        browser.close()


@pytest.fixture
def page(browser):
    """A new window, which must end without errors."""
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
