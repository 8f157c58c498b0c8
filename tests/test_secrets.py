"""User names and passwords never reach a log, a parameter, a file or an error message.

The tests pass fake ones wherever MLflow accepts them, and search all output and files for them.
"""

import base64
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from src.bad_input import BadInput, redact
from src.options import Tracking
from src.tracking.address import error_reason, holds_secret, refuse_secrets
from src.tracking.store import open_store
from tests.tracking.servers import Server, free_port

CANARY, OWNER = "c4n4ry-Zq7", "0wner-Xv3"
TINY = (
    *("data=synthetic", "data.images=20", "data.test_images=10", "data.validation=4", "data.batch_size=4"),
    *("model.width=4", "epochs=1"),
)
POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)
NOBODY = 65534


def traces(folder: Path, *said: str) -> list[str]:
    """The files below a folder and the numbers of the texts that hold the password, plain or in base64."""
    needles = [CANARY.encode(), CANARY.encode("utf-16-le"), OWNER.encode()]
    needles += [base64.b64encode(b"x" * shift + CANARY.encode())[4:12] for shift in range(3)]
    texts = {str(number): text.encode() for number, text in enumerate(said)}
    texts |= {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return [name for name, text in texts.items() if any(needle in text for needle in needles)]


@pytest.mark.slow
def test_the_search_finds_a_password_in_every_place(command, tmp_path):
    done = command("src.train", *TINY, f"tracking.experiment={CANARY}")
    assert done.returncode == 0, done.stderr
    found = " ".join(traces(tmp_path, done.stdout, done.stderr))
    for place in ("mlflow.db", "config.yaml", "manifest.json", "multirun/artifacts"):
        assert place in found
    (tmp_path / "header").write_bytes(base64.b64encode(f"{OWNER}:{CANARY}".encode()))
    assert "header" in traces(tmp_path)
    assert traces(tmp_path / "header", "", f"a password such as {CANARY} in a text") == ["1"]


@pytest.mark.slow
def test_the_credentials_of_a_server_leave_no_trace(command, tmp_path):
    server = Server(tmp_path)
    credentials = {
        "MLFLOW_TRACKING_URI": server.uri,
        "MLFLOW_TRACKING_USERNAME": OWNER,
        "MLFLOW_TRACKING_PASSWORD": CANARY,
        "MLFLOW_TRACKING_TOKEN": CANARY,
    }
    server.start()
    try:
        done = command("src.train", "-m", "norm=bn,none", *TINY, **credentials)
        assert done.returncode == 0, done.stderr
        again = command("src.sync", **credentials)
        assert again.returncode == 0, again.stderr
    finally:
        server.kill()
    assert list((tmp_path / "artifacts").rglob("weights.safetensors"))
    failed = command("src.train", "norm=ln", *TINY, **credentials)
    assert failed.returncode == 2
    assert traces(tmp_path, done.stdout, done.stderr, again.stderr, failed.stderr) == []


@pytest.mark.slow
def test_the_credentials_in_the_address_of_a_file_leave_no_trace(command, tmp_path):
    address = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}?password={CANARY}&user={OWNER}"}
    done = command("src.train", *TINY, **address)
    assert done.returncode == 0, done.stderr
    assert '--backend-store-uri "$MLFLOW_TRACKING_URI"' in done.stderr
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    failed = command("src.train", *TINY, HYDRA_FULL_ERROR="1", **address)
    assert failed.returncode == 1
    synced = command("src.sync", **address)
    assert synced.returncode == 2
    assert traces(tmp_path, done.stdout, done.stderr, failed.stderr, synced.stderr) == []


@dataclass(frozen=True)
class Postgres:
    """A database server for one test."""

    folder: Path
    port: int

    def address(self, password: str = CANARY, database: str = "postgres") -> str:
        return f"postgresql+psycopg2://{OWNER}:{password}@127.0.0.1:{self.port}/{database}"


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    if POSTGRES is None or importlib.util.find_spec("psycopg2") is None or os.geteuid() != 0:
        pytest.skip("no PostgreSQL with psycopg2, or no root to start it: a real database is NOT tested")
    place = Path(tempfile.mkdtemp(prefix="normlab-"))
    folder, password = place / "data", place / "password"
    password.write_text(CANARY)
    for path in (place, password):
        os.chown(path, NOBODY, NOBODY)
    rights = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": place, "stdout": subprocess.DEVNULL}
    made = [POSTGRES / "initdb", "-D", folder, "-U", OWNER, "--pwfile", password, "-A", "scram-sha-256"]
    subprocess.run(made, check=True, **rights)
    password.unlink()
    port = free_port()
    server = [POSTGRES / "postgres", "-D", folder, "-p", str(port), "-k", place]
    process = subprocess.Popen(server, stderr=subprocess.DEVNULL, **rights)
    try:
        wait_for(port)
        yield Postgres(folder, port)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(place)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.slow
def test_the_credentials_of_a_database_leave_no_trace(command, tmp_path, postgres):
    def train(address: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return command("src.train", "-m", "norm=bn,none", *TINY, MLFLOW_TRACKING_URI=address, **variables)

    wrong = train(postgres.address(f"not-{CANARY}"))
    nowhere = train(postgres.address(database="nowhere"), HYDRA_FULL_ERROR="1")
    for refused, status in ((wrong, 2), (nowhere, 1)):
        assert refused.returncode == status, refused.stderr
    assert len(wrong.stderr.strip().splitlines()) <= 3
    assert list(tmp_path.iterdir()) == []
    done = train(postgres.address())
    assert done.returncode == 0, done.stderr
    synced = command("src.sync", MLFLOW_TRACKING_URI=postgres.address())
    assert synced.returncode == 0, synced.stderr
    assert (tmp_path / "multirun" / "artifacts").is_dir()
    assert (
        traces(tmp_path, *(text for one in (wrong, nowhere, done, synced) for text in (one.stdout, one.stderr))) == []
    )
    kept = [path for path in postgres.folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert kept == []


@pytest.fixture
def stranger() -> Iterator[int]:
    """A port with a listener that is not a database and closes each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            while True:
                try:
                    listening.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_traceback_of_a_database_that_cannot_be_opened_hides_its_password(command, tmp_path, stranger, monkeypatch):
    addresses = (f"postgresql://{OWNER}:{CANARY}@127.0.0.1:{stranger}/x", f"mssql+pyodbc://{OWNER}:{CANARY}@dsn")
    for address in addresses:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(BadInput, match="cannot be opened") as refused:
            open_store(Tracking(experiment="normlab"), tmp_path / "multirun")
        assert traces(tmp_path, "".join(traceback.format_exception(refused.value))) == []
    done = command("src.train", *TINY, MLFLOW_TRACKING_URI=addresses[0], HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "cannot be opened" in done.stderr
    assert traces(tmp_path, done.stdout, done.stderr) == []
    assert list(tmp_path.iterdir()) == []


WITH_PASSWORD = f"{OWNER}:{CANARY}@host"
REFUSED = [
    [f"tracking.uri=http://{WITH_PASSWORD}"],
    [f"tracking.uri=http://{CANARY}@host"],
    [f"tracking.uri=http://{WITH_PASSWORD}/,x"],
    [f"tracking.uri=http://{OWNER}:{CANARY}/x@host"],
    [f"tracking.uri=http:///{WITH_PASSWORD}"],
    [f"tracking.uri=http://{OWNER}:{CANARY}@["],
    [f"tracking.uri=http://{OWNER}:{CANARY} x@host"],
    [f"tracking.uri='http://{WITH_PASSWORD}'"],
    [f"tracking.uri=postgresql://{WITH_PASSWORD}/db"],
    [f"tracking.uri=postgresql+psycopg2://{WITH_PASSWORD}/db", "epochs=0"],
    [f"tracking.uri=postgresql://host/db?user=me&password={CANARY}"],
    [f"tracking.uri=mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3D{CANARY}"],
    [f"tracking.uri=sqlite://{WITH_PASSWORD}/x.db"],
    [f"tracking.uri=sqlite:///x.db?password={CANARY}"],
    [f"tracking.uri={WITH_PASSWORD}:5000"],
    [f"tracking.uri=foo://{WITH_PASSWORD}"],
    [f"tracking.uri=http://{WITH_PASSWORD}", "tracking.uri=http://host"],
    [f"trackng.uri=postgresql://{WITH_PASSWORD}"],
    [f"uri=http://{WITH_PASSWORD}"],
    [f"+tracking.uri=http://{WITH_PASSWORD}"],
    [f"http://{WITH_PASSWORD}"],
    [f"--uri=http://{WITH_PASSWORD}"],
    ["--uri", f"http://{WITH_PASSWORD}"],
    ["--cfg", "job", f"tracking.uri=http://{WITH_PASSWORD}"],
    ["-m", f"tracking.uri=http://{WITH_PASSWORD},http://host"],
    ["-m", f"norm=bn,,http://{WITH_PASSWORD}"],
    [f"tracking.uri=choice(http://{WITH_PASSWORD}"],
    [f"data.root=http://{WITH_PASSWORD}"],
    [f"hydra.job.env_set.MLFLOW_TRACKING_PASSWORD={CANARY}"],
    [f"hydra.job.env_set.MLFLOW_TRACKING_URI=http://{WITH_PASSWORD}"],
    ["tracking.uri=${oc.env:STORE}"],
]


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_a_password_on_the_command_line_is_refused_and_not_repeated(words, quick_command, tmp_path):
    done = quick_command(tmp_path, "src.train", *words, STORE=f"postgresql://{WITH_PASSWORD}/db")
    assert done.returncode == 2, done.stderr
    assert 1 <= len(done.stderr.strip().splitlines()) <= 3, done.stderr
    assert traces(tmp_path, done.stdout, done.stderr) == []
    assert list(tmp_path.iterdir()) == []


def test_no_traceback_repeats_it_either(quick_command, tmp_path):
    done = quick_command(tmp_path, "src.train", f"tracking.uri=http://{WITH_PASSWORD}/,x", HYDRA_FULL_ERROR="1")
    assert "Traceback" in done.stderr
    assert traces(tmp_path, done.stdout, done.stderr) == []


def test_a_password_in_the_address_of_a_variable_is_refused(quick_command, tmp_path):
    done = quick_command(tmp_path, "src.train", *TINY, MLFLOW_TRACKING_URI=f"http://{WITH_PASSWORD}")
    assert done.returncode == 2
    assert "MLFLOW_TRACKING_URI contains a login" in done.stderr
    assert "MLFLOW_TRACKING_PASSWORD" in done.stderr
    assert traces(tmp_path, done.stdout, done.stderr) == []


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("http://host:5000/path", "http://host:5000/path"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("postgresql://me:pw@host/db", "postgresql://***@host/db"),
        ("postgresql+psycopg2://me@host/db", "postgresql+psycopg2://***@host/db"),
        ("mysql://me:p@w@host/db?ssl=1", "mysql://***@host/db?ssl=1"),
        ("postgresql://host/db?user=me&password=pw&x=1", "postgresql://host/db?user=***&password=***&x=1"),
        ("databricks://profile", "databricks://profile"),
    ],
)
def test_an_address_is_shown_without_user_and_password(address, text):
    assert redact(address) == text
    assert holds_secret(address) == (address != text)
    assert redact(f"two: {address} {address}") == f"two: {text} {text}"


def test_a_librarys_error_is_shown_without_user_and_password():
    address = "postgresql://me:p%40ss-w@host/db?sslpassword=other"
    for said in ('failed for user "me"', "p@ss-w is wrong", "at p%40ss-w:", f"{address} is no address", "other"):
        told = error_reason(ValueError(said), address)
        assert not any(secret in told for secret in ("me", "ss-w", "other")), told
    assert error_reason(ValueError("some method\nand more"), address) == "some method"
    assert error_reason(ValueError(), "http://host") == "ValueError"


def test_words_without_an_address_are_accepted():
    refuse_secrets(["-m", "norm=bn,gn", "data.root=/data@home", "tracking.uri=sqlite:////data@home/x.db", "a@b=c"])
