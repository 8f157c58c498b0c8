"""The whole command with a tracking server that is killed or hangs."""

import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from src.runs.folder import JobFolder
from src.tracking.session import PATIENCE
from tests.conftest import clean_environment
from tests.faults.promises import check_store
from tests.tracking.servers import HANG, no_fault, serving

pytestmark = pytest.mark.slow

GRID = ("-m", "norm=bn,gn", "epochs=12", "data=synthetic", "data.images=1500")


@pytest.fixture
def server(migrated, tmp_path_factory):
    with serving(migrated, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def start(tmp_path):
    """Starts a command; returns its process once the journals hold so many epochs."""
    processes = []

    def run(*words, epochs=3, **variables):
        with (tmp_path / "said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "src.train", *words],
                cwd=tmp_path,
                env=clean_environment() | variables,
                stdout=subprocess.DEVNULL,
                stderr=said,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        processes.append(process)
        deadline = time.monotonic() + 120
        while b"".join(path.read_bytes() for path in tmp_path.rglob("journal.jsonl")).count(b'"kind":"epoch"') < epochs:
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def said(tmp_path):
    """The printed lines except the epochs."""

    def read():
        lines = (tmp_path / "said").read_text().splitlines()
        return [line for line in lines if not re.search(r"  epoch +\d+/", line)]

    return read


@pytest.fixture
def promised(server, tmp_path):
    def check():
        (tmp_path / "mlflow.db").unlink(missing_ok=True)
        server.copy(tmp_path / "mlflow.db")
        check_store(tmp_path, artifact_root=server.artifacts)

    return check


def calm(lines):
    """Whether no library printed noise."""
    return not re.search(r"Traceback|Retry|WARNING|urllib3", "\n".join(lines)) and all(
        len(line) < 500 for line in lines
    )


def seconds_after_training(tmp_path):
    results = [JobFolder(path).result() for path in tmp_path.glob("multirun/jobs/*")]
    return time.time() - max(result["finished"] for result in results) / 1000


def test_a_server_that_is_killed_and_back_soon_gets_everything_once(server, start, said, promised):
    process = start(*GRID, MLFLOW_TRACKING_URI=server.uri)
    server.kill()
    time.sleep(3)
    server.start()
    assert process.wait(120) == 0, said()
    assert calm(said())
    promised()


def test_a_server_that_is_killed_for_good_costs_no_training(server, start, said, promised, command, tmp_path):
    variables = {"MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "1"}
    process = start(*GRID, f"tracking.uri={server.uri}", "tracking.system_metrics=true", **variables)
    server.kill()
    assert process.wait(180) == 3, said()
    waited = seconds_after_training(tmp_path)
    print(f"waited {waited:.1f} s", *said(), sep="\n")
    assert waited < PATIENCE + 10
    lines = said()
    assert calm(lines)
    undelivered, write, *links = lines[-5:]
    assert "not delivered to MLflow: bn data=synthetic images=1500 epochs=12 s0 (" in undelivered
    assert "gn data=synthetic images=1500 epochs=12 s0 (12 epochs)" in undelivered
    assert [line.split()[0] for line in links] == ["to", "curves", "leaderboard"]
    write = write.removeprefix("  write: ")
    assert re.fullmatch(rf"python -m src\.sync --sweep [0-9a-f]{{8}} --uri {server.uri}", write)
    refused = command(*shlex.split(write)[2:])
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 3)
    server.start()
    synced = command(*shlex.split(write)[2:])
    assert synced.returncode == 0, synced.stderr
    promised()


def test_a_server_that_hangs_costs_no_training(server, proxy, start, said, promised, command, tmp_path):
    process = start(*GRID, MLFLOW_TRACKING_URI=proxy.uri)
    proxy.fault = lambda _: HANG
    assert process.wait(180) == 3, said()
    waited = seconds_after_training(tmp_path)
    print(f"waited {waited:.1f} s", *said(), sep="\n")
    assert waited < PATIENCE + 10
    assert calm(said())
    proxy.fault = no_fault
    assert command("src.train", *GRID, MLFLOW_TRACKING_URI=proxy.uri).returncode == 0
    promised()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sweep_with_a_server_that_hangs_ends_in_seconds(
    server, proxy, start, said, promised, command, number, status
):
    grid = [*GRID, "tracking.system_metrics=true"]
    process = start(*grid, epochs=2, MLFLOW_TRACKING_URI=proxy.uri)
    proxy.fault = lambda _: HANG
    time.sleep(1.5)  # the delivery waits for an answer
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(60) == status
    waited = time.monotonic() - began
    print(f"waited {waited:.1f} s", *said(), sep="\n")
    assert waited < 5
    assert calm(said())
    proxy.fault = no_fault
    done = command("src.train", *grid, MLFLOW_TRACKING_URI=proxy.uri)
    assert done.returncode == 0, done.stderr
    promised()


def test_a_stopped_command_with_a_server_that_hangs_from_the_start_ends_at_once(proxy, tmp_path, start):
    proxy.fault = lambda request: None if request.path == "/health" else HANG
    process = start(*GRID, epochs=0, MLFLOW_TRACKING_URI=proxy.uri)
    deadline = time.monotonic() + 60
    while not any(request.path != "/health" for request in proxy.requests):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert time.monotonic() - began < 5
    assert not (tmp_path / "multirun/jobs").exists()
