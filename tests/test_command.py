"""The whole program: from the shell to the MLflow store."""

import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from src.runs.folder import JobFolder
from tests.conftest import clean_environment, python

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow")  # MLflow's own, at import

BN = "bn data=synthetic images=1500 epochs=12 s0"
SMALL = ("data.limit=1280", "epochs=2")


@pytest.fixture
def store(tmp_path):
    """A function that reads the command's store: the client, and the runs of sweeps and of jobs by name."""

    def read():
        client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("normlab")
        runs = client.search_runs([experiment.experiment_id])
        by_kind = {
            kind: {run.info.run_name: run for run in runs if run.data.tags["kind"] == kind} for kind in ("sweep", "job")
        }
        assert len(by_kind["sweep"]) + len(by_kind["job"]) == len(runs), "two runs have the same name"
        return client, by_kind["sweep"], by_kind["job"]

    return read


def job_folders(tmp_path):
    return {folder.name: JobFolder(folder) for folder in sorted((tmp_path / "multirun/jobs").iterdir())}


def test_the_readmes_command_trains_tracks_and_compares_and_a_second_run_only_compares(command, tmp_path, store):
    line = ("-m", "norm=bn,gn,ln", "reg.l1=0,1e-5", *SMALL)
    done = python(tmp_path, "-m", "src.train", *line)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    client, sweeps, jobs = store()
    (sweep,) = sweeps.values()
    assert sweep.info.status == "FINISHED"
    assert sorted(jobs) == sorted(
        f"{norm}{l1} limit=1280 epochs=2 s0" for norm in ("bn", "gn", "ln") for l1 in ("", " l1=1e-05")
    )

    folders = {folder.records()[1]["job"]: folder for folder in job_folders(tmp_path).values()}
    assert len(folders) == 6
    for run in jobs.values():
        folder = folders[run.data.tags["job_key"]]
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == sweep.info.run_id
        assert run.data.params.keys() >= {"norm.name", "reg.l1", "epochs", "data.limit"}
        epochs = [record for record in folder.records() if record["kind"] == "epoch"]
        assert [record["epoch"] for record in epochs] == [1, 2]
        for name in epochs[0]["metrics"]:
            history = client.get_metric_history(run.info.run_id, name)
            delivered = [(metric.step, metric.timestamp, metric.value) for metric in history]
            assert delivered == [(record["epoch"], record["time"], record["metrics"][name]) for record in epochs]
        result = folder.result()["metrics"]
        assert run.data.metrics["test/accuracy"] == pytest.approx(result["test/accuracy"], abs=1e-4)
        assert run.data.metrics["test/errors"] == result["test/errors"]
        assert run.inputs.dataset_inputs[0].dataset.name == "mnist"
        artifacts = {item.path for item in client.list_artifacts(run.info.run_id)}
        assert artifacts >= {"misclassified.png", "confusion_matrix.png", "predictions.npz", "config.yaml", "images"}
        assert len(client.list_artifacts(run.info.run_id, "images")) == 2  # the picture and its thumbnail
        penalised = run.data.params["reg.l1"] != "0"
        assert (epochs[0]["metrics"]["train/penalty"] > 0) == penalised
    for name in ("bn", "gn", "ln"):
        assert name in done.stdout
    view = client.get_experiment(sweep.info.experiment_id).tags
    assert any(name.startswith("mlflow.sharedViewState.") for name in view)

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "multirun/jobs").rglob("*")}
    again = command("src.train", *line)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "multirun/jobs").rglob("*")} == before
    _, sweeps, rerun = store()
    assert {run.info.run_id for run in rerun.values()} == {run.info.run_id for run in jobs.values()}
    assert [run.info.run_id for run in sweeps.values()] == [sweep.info.run_id]
    assert next(iter(sweeps.values())).info.status == "FINISHED"

    compared = command("src.compare", "--json", "all.json", "--csv", "all.csv")
    assert compared.returncode == 0, compared.stderr
    assert len(json.loads((tmp_path / "all.json").read_text())["cells"]) == 6


@pytest.mark.slow  # a whole command; tests/test_standard_streams.py and test_startup.py test the parts
def test_foreign_settings_and_lost_output_cost_no_result(tmp_path, store):
    (tmp_path / "matplotlibrc").write_bytes(b"\xff: broken")
    foreign = {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "ascii",
        "PYTHONHASHSEED": "1",
        "COLUMNS": "0",
        "TERM": "dumb",
    }
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "src.train", "-m", "norm=bn,gn", "data=synthetic", "data.images=1000", "epochs=1"],
            cwd=tmp_path,
            env=clean_environment() | foreign,
            stdout=full,
            preexec_fn=lambda: os.close(2),
            timeout=240,
        )
    assert done.returncode == 0
    _, sweeps, jobs = store()
    assert [run.info.status for run in [*sweeps.values(), *jobs.values()]] == ["FINISHED"] * 3
    assert list(tmp_path.glob("multirun/sweeps/*/report.html"))


def test_a_failed_job_does_not_stop_the_others(command, tmp_path, store, migrated):
    shutil.copy(migrated, tmp_path)
    words = ("-m", "optimizer.lr=1e30,0.01", "norm=none", "data=synthetic", "data.images=800", "epochs=1")
    words += ("hydra/launcher=basic",)
    done = command("src.train", *words)
    assert done.returncode == 1
    _, sweeps, jobs = store()
    assert [run.info.status for run in sweeps.values()] == ["FAILED"]
    assert jobs["none data=synthetic lr=0.01 images=800 epochs=1 s0"].info.status == "FINISHED"
    failed = jobs["none data=synthetic lr=1e+30 images=800 epochs=1 s0"]
    assert failed.info.status == "FAILED"
    assert "epoch 1, step" in failed.data.tags["error"]
    assert "failed: none data=synthetic lr=1e+30" in done.stdout
    folder = next(folder for name, folder in job_folders(tmp_path).items() if "1e" in name and not folder.finished)
    assert "Traceback" in (folder.path / "train.log").read_text()

    again = command("src.train", *words)
    assert again.returncode == 1
    _, _, rerun = store()
    assert {name: (run.info.run_id, run.info.status) for name, run in rerun.items()} == {
        name: (run.info.run_id, run.info.status) for name, run in jobs.items()
    }


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_sweep_resumes_in_the_same_runs(command, tmp_path, store, migrated, number, status):
    shutil.copy(migrated, tmp_path)
    words = ["-m", "norm=bn,gn", "epochs=12", "data=synthetic", "data.images=1500", "hydra.launcher.workers=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "src.train", *words],
        cwd=tmp_path,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Background processes of a shell ignore Ctrl-C, and so may the tests.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 90
        while b"".join(path.read_bytes() for path in tmp_path.rglob("journal.jsonl")).count(b'"kind":"epoch"') < 3:
            assert time.monotonic() < deadline, "no epochs in time"
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(number)
        output = b"".join(process.communicate(timeout=60)).decode()
    finally:
        process.kill()
    assert process.returncode == status
    if status > 0:
        assert "2 of 2 jobs are left: bn s0 and gn s0\n" in output  # without the settings that all jobs share
        _, sweeps, jobs = store()
        assert [run.info.status for run in sweeps.values()] == ["KILLED"]
        assert [(run.info.run_name, run.info.status) for run in jobs.values()] == [(BN, "KILLED")]
    ((_, killed),) = job_folders(tmp_path).items()
    before = [record for record in killed.records() if record["kind"] == "epoch"]

    done = command("src.train", *words)
    assert done.returncode == 0, done.stderr
    client, sweeps, jobs = store()
    assert [run.info.status for run in sweeps.values()] == ["FINISHED"]
    assert [(name, run.info.status) for name, run in sorted(jobs.items())] == [
        (BN, "FINISHED"),
        (BN.replace("bn", "gn"), "FINISHED"),
    ]
    epochs = [record for record in killed.records() if record["kind"] == "epoch"]
    assert epochs[: len(before)] == before
    history = client.get_metric_history(jobs[BN].info.run_id, "val/loss")
    assert [(metric.step, metric.value, metric.timestamp) for metric in history] == [
        (record["epoch"], record["metrics"]["val/loss"], record["time"]) for record in epochs
    ]
    assert "error" not in jobs[BN].data.tags


@pytest.mark.slow
def test_a_job_in_a_second_sweep_keeps_its_name_and_cell_in_the_first(command, tmp_path, store):
    small = ("data=synthetic", "data.images=800", "data.validation=100", "epochs=1")
    assert command("src.train", "-m", "norm=bn", "seed=0,1", *small).returncode == 0
    _, _, first = store()
    assert command("src.train", "-m", "norm=bn", "reg.l1=0,1e-5", *small).returncode == 0
    _, sweeps, both = store()
    assert len(sweeps) == 2
    assert len(both) == 3
    for name, run in first.items():
        assert both[name].info.run_id == run.info.run_id
        assert both[name].data.tags["cell"] == run.data.tags["cell"]
    shared = next(run for run in both.values() if run.data.tags["seed"] == "0" and run.data.params.get("reg.l1") == "0")
    assert sum(tag.startswith("sweep.") for tag in shared.data.tags) == 2


@pytest.mark.slow
def test_a_reader_that_quits_ends_no_run(tmp_path, store):
    words = "-m norm=bn,gn data=synthetic data.images=800 data.validation=100 epochs=2"
    subprocess.run(
        f"{shlex.quote(sys.executable)} -m src.train {words} 2>&1 | head -1",
        shell=True,
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        timeout=120,
    )
    _, sweeps, jobs = store()
    assert [run.info.status for run in [*sweeps.values(), *jobs.values()]] == ["FINISHED"] * 3


@pytest.mark.slow
def test_a_locked_store_does_not_delay_the_end_of_a_stopped_sweep(tmp_path, command):
    small = ("-m", "norm=bn", "data=synthetic", "data.images=800", "data.validation=100", "epochs=300")
    assert command("src.train", "norm=gn", "data=synthetic", "epochs=1").returncode == 0  # creates the store
    process = subprocess.Popen(
        [sys.executable, "-m", "src.train", *small], cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("multirun/jobs/bn*/checkpoint-*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        lock = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        process.send_signal(signal.SIGTERM)
        _, printed = process.communicate(timeout=30)
        lock.execute("ROLLBACK")
        lock.close()
    finally:
        process.kill()
    assert process.returncode == 143
    assert b"python -m src.sync --sweep" in printed
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("normlab").experiment_id
    running = client.search_runs([experiment], "attributes.status = 'RUNNING'")
    assert running, "the lock came too late to show anything"
    synced = command("src.sync")
    assert synced.returncode == 0, synced.stderr
    assert not client.search_runs([experiment], "attributes.status = 'RUNNING'")
