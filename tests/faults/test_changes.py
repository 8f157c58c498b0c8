"""Changes between two commands: edited code, other data, checkpoints of other versions, a restart."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.runs.checkpoint import CHECKPOINT_FILES, FORMAT, encode_checkpoint
from src.runs.folder import JobFolder
from tests.conftest import clean_environment
from tests.data.conftest import to_idx
from tests.faults.commands import DATA, SWEEP, epochs_below, eventually, only_job
from tests.faults.job_folders import SAME_BYTES
from tests.faults.promises import check_store, snapshot
from tests.faults.stored import read_runs

pytest_plugins = ["tests.faults.fixtures"]
PROJECT = Path(__file__).parents[2]
# Each step multiplies the weights by about -2: they overflow, but not in the first epoch.
DIVERGING = ("reg.l2=30,0", "norm=none", *DATA[:-1], "optimizer=sgd", "optimizer.lr=0.1")
DIVERGING += ("optimizer.momentum=0", "optimizer.nesterov=false", "schedule=constant", "epochs=10")


def kinds(path):
    return [record["kind"] for record in JobFolder(path).records()]


def stopped(forked, folder, *words, epochs=2):
    """A sweep killed in its first job."""
    running = forked.start(folder, *words)
    eventually(lambda: epochs_below(folder) >= epochs)
    running.send(signal.SIGKILL)
    assert running.wait().status == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (encode_checkpoint(FORMAT + 1, b"what a later version writes"), f"has format {FORMAT + 1}; this version reads"),
        (b"PK\x03\x04 and so on", "is a bare pickle"),
    ],
)
def test_a_checkpoint_of_another_version_fails_only_its_job_and_is_kept(forked, empty, content, words):
    sweep = ("norm=bn,gn", *DATA, "epochs=40")
    stopped(forked, empty, *sweep)
    job = only_job(empty, "bn")
    (job / CHECKPOINT_FILES[0]).write_bytes(content)
    kept = {path: path.read_bytes() for path in job.glob("checkpoint-*")}
    done = forked.run(empty, *sweep)
    assert done.status == 1, done.said
    assert words in done.said
    assert "resume=restart" in done.said
    assert "Traceback" not in done.said
    assert {path: path.read_bytes() for path in job.glob("checkpoint-*")} == kept
    assert JobFolder(only_job(empty, "gn")).finished
    runs = {run.name[:2]: run for run in read_runs(empty / "mlflow.db") if run.tags["kind"] == "job"}
    assert {norm: run.status for norm, run in runs.items()} == {"bn": "FAILED", "gn": "FINISHED"}
    assert words in runs["bn"].tags["error"]
    assert forked.run(empty, *sweep, "resume=restart").status == 0
    check_store(empty)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_reports_its_step_and_keeps_the_last_checkpoint(forked, empty):
    done = forked.run(empty, *DIVERGING)
    assert done.status == 1, done.said
    jobs = list(empty.glob("multirun/jobs/*"))
    assert len(jobs) == 2
    (job,) = [path for path in jobs if not JobFolder(path).finished]
    before = JobFolder(job).records()
    epochs = kinds(job).count("epoch")
    assert epochs >= 1, "it diverged at once, so there is no checkpoint to keep"
    assert kinds(job)[-1] == "stop"
    assert f"in epoch {epochs + 1}, step" in before[-1]["error"] or f"after epoch {epochs + 1}" in before[-1]["error"]
    assert snapshot(empty / "multirun")[job.name].checkpoint == epochs
    check_store(empty)
    again = forked.run(empty, *DIVERGING)
    assert again.status == 1, again.said
    assert kinds(job)[len(before) :] == ["resume", "stop"]
    assert JobFolder(job).records()[-1]["error"] == before[-1]["error"]
    check_store(empty)


def test_restart_sets_finished_jobs_aside_and_trains_to_the_same_bytes(forked, empty, reference):
    assert forked.run(empty, *SWEEP).status == 0
    first = {run.id for run in read_runs(empty / "mlflow.db") if run.tags["kind"] == "job"}
    old = {path.name: (path / "weights.safetensors").read_bytes() for path in empty.glob("multirun/jobs/*")}
    done = forked.run(empty, *SWEEP, "resume=restart")
    assert done.status == 0, done.said
    assert "2 earlier attempts" in done.said
    check_store(empty, reference)
    aside = list(empty.glob("multirun/superseded/*"))
    assert {path.name.rpartition("-")[0]: (path / "weights.safetensors").read_bytes() for path in aside} == old
    runs = {run.id: run for run in read_runs(empty / "mlflow.db") if run.tags["kind"] == "job"}
    assert len(runs) == 4
    assert {run for run in runs if "superseded" in runs[run].tags} == first
    for run in first:
        assert runs[run].status == "FINISHED", "it was"
        assert all((runs[run].artifacts / name).stat().st_size for name in SAME_BYTES)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["as the first is set aside", "as the first trains"])
def test_a_killed_restart_resumes_without_restarting_again(forked, empty, reference, moment):
    assert forked.run(empty, *SWEEP).status == 0
    running = forked.start(empty, *SWEEP, "resume=restart")
    begun = "multirun/superseded/*" if "aside" in moment else "multirun/superseded/../jobs/*/checkpoint-*"
    eventually(lambda: list(empty.glob(begun)))
    running.send(signal.SIGKILL)
    running.wait()
    before = snapshot(empty / "multirun")
    done = forked.run(empty, *SWEEP)
    assert done.status == 0, done.said
    check_store(empty, reference, before=before)


@pytest.mark.slow
def test_restart_sets_an_interrupted_job_aside_too(forked, empty):
    sweep = ("norm=bn", *DATA, "epochs=40")
    stopped(forked, empty, *sweep, epochs=5)
    done = forked.run(empty, *sweep, "resume=restart")
    assert done.status == 0, done.said
    check_store(empty)
    job = only_job(empty, "bn")
    assert kinds(job) == ["start", "ready", *["epoch"] * 40]
    (aside,) = empty.glob("multirun/superseded/*")
    assert kinds(aside).count("epoch") >= 5


def images(seed):
    """Write the four files of a dataset of random images."""
    random = np.random.default_rng(seed)
    files = {}
    for name, count in (("train", 60), ("t10k", 40)):
        files[f"{name}-images-idx3-ubyte"] = random.integers(256, size=(count, 28, 28))
        files[f"{name}-labels-idx1-ubyte"] = np.arange(count) % 4
    return {name: to_idx(array) for name, array in files.items()}


def own_data(folder):
    """A folder of images, and the overrides that train on them."""
    root = folder / "images"
    root.mkdir()
    for name, content in images(0).items():
        (root / name).write_bytes(content)
    words = ("data=idx", f"data.root={root}", "data.validation=20", "data.batch_size=8", "model.width=8")
    return root, words


def change(root):
    path = root / "train-images-idx3-ubyte"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)


@pytest.mark.slow
def test_changed_data_is_another_job_and_is_reported(forked, empty):
    root, words = own_data(empty)
    assert forked.run(empty, *words, "epochs=1").status == 0
    (first,) = empty.glob("multirun/jobs/*")
    change(root)
    done = forked.run(empty, *words, "epochs=1")
    assert done.status == 0, done.said
    assert f"the data in {root} has changed since {first.name}" in done.said
    assert len(list(empty.glob("multirun/jobs/*"))) == 2
    check_store(empty)


def project(folder):
    """A copy of the code that the test may edit."""
    for name in ("src", "conf", "hydra_plugins"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.slow
def test_edited_code_retrains_unfinished_jobs_and_marks_finished_ones(forked, empty, tmp_path):
    sweep = ("norm=bn,gn", *DATA, "epochs=200")
    code = project(tmp_path / "code")

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "src.train", *sweep],
            cwd=empty,
            env=clean_environment() | {"PYTHONPATH": str(code)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    running = start()
    try:
        eventually(lambda: any(run.name.startswith("gn") and run.metrics for run in read_runs(empty / "mlflow.db")))
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
    bn, gn = only_job(empty, "bn"), only_job(empty, "gn")
    attempt = JobFolder(gn).records()[0]
    edited = code / "src" / "training" / "penalties.py"
    edited.write_text(edited.read_text() + "UNUSED = 0\n")
    before = snapshot(empty / "multirun")
    running = start()
    said, _ = running.communicate(timeout=240)
    assert running.returncode == 0, said
    assert "finished with other code: bn" in said
    assert kinds(gn) == ["start", "ready", *["epoch"] * 200], "from epoch 1"
    assert JobFolder(gn).records()[0]["code"] != attempt["code"]
    assert snapshot(empty / "multirun")[bn.name] == before[bn.name], "finished, so not touched"
    assert "code" in said.partition("validation")[2], "the table does not say so"
    check_store(empty)
    runs = [run for run in read_runs(empty / "mlflow.db") if run.tags.get("attempt") == str(attempt["time"])]
    assert [run.tags.get("superseded") for run in runs] == ["true"]
