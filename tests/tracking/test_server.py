"""A tracking server that fails: no data is lost or duplicated, and no command waits forever."""

import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from urllib.error import HTTPError

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils

from src.bad_input import BadInput
from src.options import Tracking
from src.tracking import address, session
from src.tracking.session import Tracker
from tests.faults.promises import check_store
from tests.tracking.servers import (
    CUT,
    EMPTY,
    ERROR,
    FORBIDDEN,
    GARBAGE,
    GONE,
    HANG,
    HTML,
    LATE,
    LOST,
    SHORT,
    TOO_LARGE,
    TRUNCATED,
    UNAUTHORIZED,
    Proxy,
    no_fault,
)

PATIENCE = 1.0


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Shorter waits."""
    monkeypatch.setattr(session, "DELIVERY_PERIOD", 0.05)
    monkeypatch.setattr(session, "STOPPED_PATIENCE", 0.5)
    monkeypatch.setattr(address, "ANSWER_TIMEOUT", 1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def give_up(monkeypatch):
    """Closes a tracker while its server fails; returns the seconds that this takes."""

    def close(one, *, stopped=False, patience=PATIENCE):
        with monkeypatch.context() as patched:
            patched.setattr(session, "PATIENCE", patience)
            patched.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
            began = time.monotonic()
            assert not one.close(stopped=stopped)
            return time.monotonic() - began

    return close


@pytest.fixture
def said():
    """The printed lines."""
    lines = []
    yield lines
    print("said:", *lines, sep="\n  ")


def missing(said):
    """The printed lines before the links, which come last."""
    places = [number for number, line in enumerate(said) if line.startswith("to open MLflow: ")]
    assert said[places[-1] + 1].startswith("  curves ")
    return said[: places[-1]]


@pytest.fixture
def tracker(tmp_path, sweep, said):
    """Creates trackers of the sweep, as commands do."""

    def make(uri, *, sweep=sweep, **settings):
        utils._artifact_repos_cache.clear()  # a command is a process of its own; MLflow caches this by run only
        return Tracker(Tracking(uri=uri, experiment="normlab", **settings), sweep, tmp_path / "multirun", said.append)

    return make


@pytest.fixture
def write_records(job):
    """Writes the finished job's journal up to a record, by default the whole journal and the result."""
    lines, result = job.journal.read_bytes().splitlines(keepends=True), job.result_path.read_bytes()

    def write(end=None):
        job.result_path.unlink(missing_ok=True)
        job.journal.write_bytes(b"".join(lines[:end]))
        if end is None:
            job.result_path.write_bytes(result)

    return write


@pytest.fixture
def training(server, tracker, write_records):
    """Opens a tracker while the job has only its first record."""

    def start(uri):
        write_records(1)
        one = tracker(uri)
        one.open()
        wait_for(lambda: statuses(server))
        return one

    return start


@pytest.fixture
def deliver(tracker):
    """Runs a command without jobs to train; returns whether everything is delivered."""

    def run(uri, **settings):
        one = tracker(uri, **settings)
        one.open()
        return one.close()

    return run


@pytest.fixture
def promised(tmp_path):
    """Asserts the promises P1 to P6."""

    def check(server):
        copy_of(server, tmp_path)
        check_store(tmp_path, artifact_root=server.artifacts)

    return check


def copy_of(server, folder):
    (folder / "mlflow.db").unlink(missing_ok=True)
    server.copy(folder / "mlflow.db")


def statuses(server, kind="job"):
    """The status of every run of a kind, whether it is superseded and whether it is deleted."""
    query = """
        SELECT status, EXISTS (SELECT 1 FROM tags WHERE key = 'superseded' AND tags.run_uuid = runs.run_uuid),
               lifecycle_stage = 'deleted'
        FROM runs JOIN tags AS kinds ON kinds.run_uuid = runs.run_uuid AND kinds.key = 'kind' AND kinds.value = ?"""
    with closing(sqlite3.connect(server.database, timeout=20)) as database:
        return sorted((status, bool(old), bool(gone)) for status, old, gone in database.execute(query, [kind]))


FINISHED = ("FINISHED", False, False)


def wait_for(what, seconds=120):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def once_each(choose, *kinds):
    """A fault that meets each chosen path once, with the kinds in turn."""
    met = []

    def fault(request):
        if not choose(request) or request.path in met:
            return None
        met.append(request.path)
        return kinds[len(met) % len(kinds)]

    return fault


def every(count, kind):
    return lambda request: kind if request.number % count == 0 else None


def test_a_server_that_returns_gets_everything_once(server, proxy, training, write_records, promised):
    one = training(proxy.uri)
    proxy.fault = lambda _: GONE
    write_records(-1)
    before = len(proxy.requests)
    wait_for(lambda: len(proxy.requests) > before + 3)  # it failed
    proxy.fault = no_fault
    write_records()
    assert one.close()
    promised(server)


def test_a_server_that_stays_away_is_reported_with_the_command_to_repeat(
    server, proxy, training, write_records, deliver, give_up, said, promised, tmp_path
):
    one = training(proxy.uri)
    proxy.fault = lambda _: GONE
    write_records()
    assert give_up(one) < PATIENCE + 5
    assert "not delivered to MLflow: gn l1=0.0001 s0 (3 epochs), the sweep's own run: " in missing(said)[-2]
    way_on = f"python -m src.sync --sweep 55555555 --multirun {tmp_path / 'multirun'} --uri {proxy.uri}"
    assert missing(said)[-1] == f"  write: {way_on}"
    assert statuses(server) == [("RUNNING", False, False)]
    proxy.fault = no_fault
    assert deliver(proxy.uri)
    promised(server)


@pytest.mark.parametrize(
    "kind", [LOST, *(pytest.param(kind, marks=pytest.mark.slow) for kind in (ERROR, EMPTY, SHORT))]
)
def test_a_server_that_fails_sometimes_gets_everything_once(server, proxy, deliver, promised, kind):
    proxy.fault = every(47, kind)
    try:
        delivered = deliver(proxy.uri)
    except BadInput:  # the first try met it while the sweep's run was opened
        delivered = False
    proxy.fault = no_fault
    assert delivered or deliver(proxy.uri)
    promised(server)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ERROR, LOST, HANG, CUT, EMPTY, SHORT])
def test_any_one_request_may_fail(running, deliver, promised, monkeypatch, kind):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    number, met = 0, True
    while met:
        number += 1
        running.empty()
        shutil.rmtree(running.artifacts, ignore_errors=True)
        proxy = Proxy(running, lambda request, number=number: kind if request.number == number else None)
        try:
            delivered = deliver(proxy.uri)
        except BadInput:  # it was met while the sweep's run was opened
            delivered = False
        try:
            met = len(proxy.requests) >= number
            if not delivered:
                proxy.fault = no_fault
                assert deliver(proxy.uri), f"request {number}"
            promised(running)
        finally:
            proxy.close()
    print(f"{kind}: {number - 1} requests")
    assert number > 40


@pytest.mark.parametrize("kind", [ERROR, GONE, HANG, *GARBAGE])
def test_a_server_that_fails_at_the_start_is_refused_before_anything_is_created(
    server, proxy, deliver, sweep, tmp_path, kind
):
    shutil.rmtree(tmp_path / "multirun")
    proxy.fault = lambda _: kind
    began = time.monotonic()

    def start():
        address.check_address(Tracking(uri=proxy.uri))
        deliver(proxy.uri)

    with pytest.raises(BadInput) as refusal:
        start()
    assert time.monotonic() - began < 9  # MLflow's own limit is 10 s here
    assert len(str(refusal.value).splitlines()) <= 3
    assert "tracking=none" in str(refusal.value)
    assert not list(tmp_path.iterdir())
    assert not statuses(server, "sweep")
    answer = refusal.value.__cause__
    assert not isinstance(answer, HTTPError) or answer.closed


@pytest.mark.parametrize(
    "kind", [HANG, HTML, *(pytest.param(kind, marks=pytest.mark.slow) for kind in (ERROR, EMPTY, TRUNCATED, SHORT))]
)
def test_a_server_that_starts_to_fail_is_waited_for_with_a_limit(
    server, proxy, training, write_records, deliver, give_up, said, promised, kind
):
    one = training(proxy.uri)
    proxy.fault = lambda _: kind
    write_records()
    assert give_up(one) < PATIENCE + 5
    assert all(len(line) < 400 and "\n" not in line for line in said)
    assert "RUNNING" in {status for status, _, _ in statuses(server)}
    proxy.close()
    assert deliver(server.uri)
    promised(server)


def test_many_jobs_wait_no_longer_than_one_for_a_server_that_hangs(server, proxy, tracker, give_up, sweep, job, said):
    jobs = []
    for number in range(50):
        shutil.copytree(job.path, job.path.with_name(f"job{number}"))
        jobs.append(replace(sweep.jobs[0], key=f"{number:064}", folder=f"job{number}", label=f"gn s{number}"))
    one = tracker(proxy.uri, sweep=replace(sweep, jobs=jobs))
    one.open()
    proxy.fault = lambda _: HANG
    time.sleep(0.2)
    assert give_up(one) < PATIENCE + 5
    assert ", 45 more jobs, the sweep's own run: " in missing(said)[-2]
    assert len(missing(said)[-2]) < 500


def test_a_stopped_sweep_does_not_wait_for_a_server_that_hangs(server, proxy, tracker, give_up, said):
    one = tracker(proxy.uri)
    one.open()
    proxy.fault = lambda _: HANG
    time.sleep(0.1)
    assert give_up(one, stopped=True, patience=60) < 10
    assert "python -m src.sync --sweep" in missing(said)[-1]


@pytest.mark.parametrize("retries", [0, 3])
def test_a_created_run_with_a_lost_answer_exists_once(server, proxy, deliver, promised, monkeypatch, retries):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(retries))  # set by the user
    lost, meanwhile = [], []

    def first_two(request):  # the sweep's run, then the job's
        if request.uploads and not meanwhile:
            meanwhile.extend([statuses(server, "sweep"), statuses(server, "job")])
        if request.creates_run and len(lost) in (0, 1 + bool(retries)):
            lost.append(request)
            return LOST
        if request.creates_run:
            lost.append(request)
        return None

    proxy.fault = first_two
    assert deliver(proxy.uri)
    promised(server)
    ghosts = [("KILLED", True, False)] if retries else []
    assert statuses(server, "sweep") == [FINISHED, *ghosts]
    assert statuses(server, "job") == [FINISHED, *ghosts]
    assert len(lost) == (4 if retries else 2)
    assert meanwhile == [[*ghosts, ("RUNNING", False, False)]] * 2  # the views show no duplicate while the job trains


def test_a_run_that_is_created_late_is_superseded(server, proxy, deliver, promised, monkeypatch):
    """The server may execute a request that timed out, after another run exists."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    created = []

    def fault(request):
        created.extend([request.path] if request.creates_run else [])
        if request.uploads and request.path.endswith("predictions.npz"):
            proxy.late.set()
            assert proxy.arrived.wait(30)
        return LATE if request.creates_run and len(created) == 2 else None  # the job's; the first is the sweep's

    proxy.fault = fault
    assert deliver(proxy.uri)
    assert statuses(server) == [FINISHED, ("KILLED", True, False)]
    promised(server)


def test_a_sweep_run_that_is_created_late_is_superseded_by_the_next_command(
    server, proxy, deliver, promised, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    proxy.fault = once_each(lambda request: request.creates_run, LATE)
    with pytest.raises(BadInput, match="timed out"):
        deliver(proxy.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

    def fault(request):
        if request.uploads:
            proxy.late.set()
            assert proxy.arrived.wait(30)

    proxy.fault = fault
    assert deliver(proxy.uri)
    assert statuses(server, "sweep") == [FINISHED, ("KILLED", True, False)]
    promised(server)


def test_a_failed_upload_is_noticed_and_repeated(server, proxy, deliver, promised):
    seen = []

    def fault(request):
        kind = broken(request)
        if kind:
            seen.append(statuses(server))
        return kind

    broken = once_each(lambda request: request.uploads and "manifest" not in request.path, ERROR, CUT, LOST, GONE)
    proxy.fault = fault
    assert deliver(proxy.uri)
    assert len(seen) == 10
    assert {status for runs in seen for status, _, _ in runs} == {"RUNNING"}
    promised(server)


def test_a_run_is_not_finished_without_its_artifacts(server, proxy, tracker, deliver, give_up, said, promised):
    proxy.fault = lambda request: EMPTY if request.uploads and request.path.endswith("weights.safetensors") else None
    one = tracker(proxy.uri)
    one.open()
    wait_for(lambda: sum(request.path.endswith("weights.safetensors") for request in proxy.requests) > 1)
    give_up(one)
    assert statuses(server) == [("RUNNING", False, False)]
    assert "MLflow did not store weights.safetensors" in missing(said)[-2]
    proxy.fault = no_fault
    assert deliver(proxy.uri)
    promised(server)


def tags_of(server, kind):
    client, experiment = client_of(server)
    (run,) = client.search_runs([experiment], f"tags.kind = '{kind}'")
    return run.data.tags


def test_a_file_that_the_server_always_refuses_does_not_hold_up_the_rest(
    server, proxy, deliver, tracker, said, sweep, tmp_path
):
    """As nginx does by default with files larger than 1 MB."""
    folder = sweep.folder(tmp_path / "multirun")
    (folder / "report.html").write_text("<html>")
    (folder / "table.csv").write_text("norm\n")
    large = ("weights.safetensors", "report.html")
    proxy.fault = lambda request: TOO_LARGE if request.uploads and request.path.endswith(large) else None
    began = time.monotonic()
    assert not deliver(proxy.uri)
    assert time.monotonic() - began < session.PATIENCE / 2
    assert statuses(server) == statuses(server, "sweep") == [FINISHED]
    assert tags_of(server, "job")["not_delivered"] == "weights.safetensors: 413 Request Entity Too Large"
    assert tags_of(server, "sweep")["not_delivered"] == "report.html: 413 Request Entity Too Large"
    told = missing(said)
    assert told[:2] == [
        "not delivered to MLflow: gn l1=0.0001 s0: weights.safetensors: 413 Request Entity Too Large",
        "not delivered to MLflow: the sweep's own run: report.html: 413 Request Entity Too Large",
    ]
    assert "client_max_body_size" in told[2]
    assert "python -m src.sync" in told[3]
    files = {path.name for path in server.artifacts.rglob("*") if path.is_file()}
    assert {"table.csv", "manifest.json", "predictions.npz", "train.log"} <= files
    proxy.fault = no_fault
    assert deliver(proxy.uri)
    assert "not_delivered" not in tags_of(server, "job") | tags_of(server, "sweep")
    assert statuses(server) == statuses(server, "sweep") == [FINISHED]


def test_a_job_with_a_lost_file_does_not_hold_up_the_rest(server, training, write_records, deliver, said, job, sweep):
    one = training(server.uri)
    (job.path / "predictions.npz").unlink()
    write_records()
    began = time.monotonic()
    assert not one.close()
    assert time.monotonic() - began < session.PATIENCE / 2
    assert statuses(server) == [("FAILED", False, False)]
    assert tags_of(server, "job")["error"] == f"{job.path / 'predictions.npz'} is missing"
    assert statuses(server, "sweep") == [FINISHED]
    assert missing(said)[0].endswith("predictions.npz is missing")
    assert missing(said)[1] == f"  write: {sweep.command}"
    assert not deliver(server.uri)


@pytest.mark.parametrize(
    ("kind", "way_on"), [(UNAUTHORIZED, "MLFLOW_TRACKING_USERNAME"), (FORBIDDEN, "tracking.experiment=NAME")]
)
def test_a_server_that_requires_a_login_shows_how(server, proxy, training, write_records, deliver, said, kind, way_on):
    proxy.fault = lambda request: kind
    with pytest.raises(BadInput, match=way_on):
        deliver(proxy.uri)
    proxy.fault = no_fault
    one = training(proxy.uri)
    proxy.fault = lambda request: kind  # a token that has run out
    write_records()
    began = time.monotonic()
    assert not one.close()
    assert time.monotonic() - began < session.PATIENCE / 2
    assert any(line.startswith(f"  {kind}: ") and way_on in line for line in said)


def test_metrics_that_a_proxy_swallows_are_noticed(server, proxy, deliver, promised):
    looked = []

    def fault(request):
        looked.extend([request] if request.path.endswith("get-history") else [])
        return EMPTY if request.path.endswith("log-batch") and not looked else None

    proxy.fault = fault
    assert deliver(proxy.uri)
    promised(server)


def client_of(server):
    client = MlflowClient(server.uri)
    return client, client.get_experiment_by_name("normlab").experiment_id


def runs_of(server, kind):
    client, experiment = client_of(server)
    return [run.info.run_id for run in client.search_runs([experiment], f"tags.kind = '{kind}'")]


def test_a_run_deleted_between_two_commands_is_created_again(server, deliver, promised):
    assert deliver(server.uri)
    client, _ = client_of(server)
    for kind in ("job", "sweep"):
        for run in runs_of(server, kind):
            client.delete_run(run)
        assert deliver(server.uri)
        assert statuses(server, kind) == [FINISHED, ("FINISHED", False, True)]
        promised(server)


def test_a_run_deleted_during_training_is_created_again(server, training, write_records, promised):
    one = training(server.uri)
    write_records(-1)
    client, _ = client_of(server)
    (run,) = runs_of(server, "job")
    wait_for(lambda: client.get_metric_history(run, "val/loss"))
    client.delete_run(run)
    write_records()
    assert one.close()
    assert statuses(server) == [FINISHED, ("RUNNING", False, True)]
    promised(server)


def test_a_sweeps_run_deleted_during_training_is_reported_and_created_by_the_next_command(
    server, training, write_records, deliver, give_up, said, promised
):
    one = training(server.uri)
    client, _ = client_of(server)
    client.delete_run(*runs_of(server, "sweep"))
    write_records()
    wait_for(lambda: statuses(server) == [FINISHED])
    give_up(one)
    assert "the sweep's own run" in missing(said)[-2]
    assert "deleted" in missing(said)[-2]
    assert deliver(server.uri)
    (sweep,) = runs_of(server, "sweep")
    assert client.get_run(*runs_of(server, "job")).data.tags["mlflow.parentRunId"] == sweep
    promised(server)


def test_an_experiment_deleted_during_training_is_reported_and_then_refused(
    server, training, write_records, deliver, give_up, said, promised
):
    one = training(server.uri)
    client, experiment = client_of(server)
    client.delete_experiment(experiment)
    write_records()
    wait_for(lambda: one._error)
    give_up(one)
    assert "deleted" in missing(said)[-2]
    with pytest.raises(BadInput, match=f"mlflow experiments restore --experiment-id {experiment}"):
        deliver(server.uri)
    client.restore_experiment(experiment)
    assert deliver(server.uri)
    promised(server)
