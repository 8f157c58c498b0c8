"""A locked or deleted store, deleted job folders, and two commands at once."""

import itertools
import os
import shutil
import signal
import sqlite3
import time

import pytest

from src.runs.folder import JobFolder
from tests.faults.commands import DATA, SWEEP, epochs_below, eventually, only_job
from tests.faults.promises import check_store, snapshot
from tests.faults.stored import read_runs

pytest_plugins = ["tests.faults.fixtures"]

REPEATS = int(os.environ.get("NORMLAB_REPEATS", "20"))  # how often two commands race
LONG = ("norm=bn", *DATA, "epochs=400")


def active(folder, kind="job"):
    """Return the runs of a kind that are not superseded, by job key or sweep id."""
    runs = [run for run in read_runs(folder / "mlflow.db") if run.tags["kind"] == kind]
    return {run.tags.get("job_key") or run.tags["sweep_id"]: run for run in runs if "superseded" not in run.tags}


def gaps(job):
    """Return each epoch's start and its seconds to the next epoch."""
    times = [record["time"] / 1000 for record in job.records() if record["kind"] == "epoch"]
    return [(before, after - before) for before, after in itertools.pairwise(times)]


def locked_for(seconds, forked, folder, epochs):
    """Lock the store while a job trains; return its longest epoch during the lock, in seconds."""
    running = forked.start(folder, "norm=bn", *DATA, f"epochs={epochs}")
    eventually(lambda: any(run.metrics for run in active(folder).values()))
    lock = sqlite3.connect(folder / "mlflow.db", isolation_level=None, timeout=60)
    lock.execute("BEGIN EXCLUSIVE")
    began, before = time.time(), epochs_below(folder)
    time.sleep(seconds)
    ended, after = time.time(), epochs_below(folder)
    assert running.poll() is None, "it ended before the lock did"
    lock.execute("ROLLBACK")
    lock.close()
    done = running.wait(300)
    assert done.status == 0, done.said
    assert "not delivered" not in done.said
    assert after > before + 5 * seconds, "training waited for the store"
    check_store(folder)
    return max(lasted for moment, lasted in gaps(JobFolder(only_job(folder, "bn"))) if began < moment < ended)


@pytest.mark.slow
def test_training_continues_while_the_store_is_locked(forked, empty):
    assert locked_for(1.5, forked, empty, 250) < 1


@pytest.mark.slow
def test_training_continues_while_the_store_is_locked_for_half_a_minute(forked, empty):
    assert locked_for(30, forked, empty, 4000) < 3


def test_a_deleted_store_is_filled_again_from_the_folders(forked, empty, reference):
    shutil.copytree(reference / "multirun" / "jobs", empty / "multirun" / "jobs")
    before = snapshot(empty / "multirun")
    done = forked.run(empty, *SWEEP)
    assert done.status == 0, done.said
    assert "epoch" not in done.said.partition("validation")[0], "it trained"
    check_store(empty, reference, before=before)
    assert {run.name for run in active(empty).values()} == {run.name for run in active(reference).values()}


@pytest.mark.slow
def test_a_store_deleted_during_a_sweep_is_reported_and_the_rerun_repairs_it(forked, empty):
    running = forked.start(empty, *LONG, patience=2)
    eventually(lambda: any(run.metrics for run in active(empty).values()))
    for path in empty.glob("mlflow.db*"):
        path.unlink()
    done = running.wait()
    assert "Traceback" not in done.said, done.said
    if done.status:
        assert done.status == 3, done.said
        assert "not delivered to MLflow" in done.said
    before = snapshot(empty / "multirun")
    assert all(state.finished for state in before.values()), "training waited for the store"
    again = forked.run(empty, *LONG)
    assert again.status == 0, again.said
    check_store(empty, before=before)


def test_a_job_with_a_deleted_folder_is_retrained_as_a_new_run(forked, empty, reference):
    assert forked.run(empty, *SWEEP).status == 0
    first = active(empty)
    shutil.rmtree(only_job(empty, "gn"))
    before = snapshot(empty / "multirun")
    done = forked.run(empty, *SWEEP)
    assert done.status == 0, done.said
    check_store(empty, reference, before=before)
    second = active(empty)
    (changed,) = [key for key in first if first[key].id != second[key].id]
    (old,) = [run for run in read_runs(empty / "mlflow.db") if run.id == first[changed].id]
    assert old.tags["superseded"] == "true"
    assert not [name for name in old.tags if name.startswith("sweep.")], "a view would show it"
    assert old.metrics == first[changed].metrics, "what it logged is kept"


@pytest.mark.slow
def test_with_all_folders_deleted_everything_is_retrained(forked, empty, reference):
    assert forked.run(empty, *SWEEP).status == 0
    first = active(empty)
    shutil.rmtree(empty / "multirun")
    done = forked.run(empty, *SWEEP)
    assert done.status == 0, done.said
    check_store(empty, reference)
    assert not {run.id for run in active(empty).values()} & {run.id for run in first.values()}
    assert len(active(empty, "sweep")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weights.safetensors", "predictions.npz", "journal.jsonl", "misclassified.png"])
def test_a_finished_job_that_lost_a_file_is_reported(name, forked, empty, reference):
    shutil.copytree(reference / "multirun" / "jobs", empty / "multirun" / "jobs")
    job = only_job(empty, "gn")
    (job / name).unlink()
    done = forked.run(empty, *SWEEP, patience=1)
    assert "Traceback" not in done.said
    assert done.status in (1, 3), done.said
    assert name in done.said or "journal is damaged" in done.said, done.said
    shutil.rmtree(job)
    assert forked.run(empty, *SWEEP).status == 0
    check_store(empty, reference)


def together(folder, forked, *commands):
    folder.mkdir(exist_ok=True)
    running = [forked.start(folder, *words) for words in commands]
    for command in running:
        done = command.wait(300)
        assert done.status == 0, done.said
        assert "locked" not in done.said
        assert "Traceback" not in done.said
    for job in map(JobFolder, folder.glob("multirun/jobs/*")):
        kinds = [record["kind"] for record in job.records()]
        assert kinds == ["start", "ready", *["epoch"] * kinds.count("epoch")], "trained more than once"
    check_store(folder)


@pytest.mark.slow
def test_the_same_sweep_twice_at_once_trains_each_job_once(forked, tmp_path):
    together(tmp_path / "here", forked, SWEEP, SWEEP)


def test_two_sweeps_at_once_share_a_store_and_a_job(forked, tmp_path):
    together(tmp_path / "here", forked, SWEEP, ("norm=gn,ln", *DATA, "epochs=3"))
    assert len(active(tmp_path / "here")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("number", range(REPEATS))
def test_commands_started_together_do_not_disturb_each_other(number, forked, tmp_path):
    other = SWEEP if number % 2 else ("norm=gn,ln", *DATA, "epochs=3")
    together(tmp_path / "here", forked, SWEEP, other, *[SWEEP] * (number % 3 == 0))


def test_restart_is_refused_while_another_command_trains(forked, empty):
    running = forked.start(empty, *LONG, "tracking=none")
    eventually(lambda: epochs_below(empty) > 2)
    done = forked.run(empty, *LONG, "tracking=none", "resume=restart")
    assert done.status == 2, done.said
    assert "another process trains bn" in done.said
    assert len(done.said.splitlines()) <= 3
    assert running.poll() is None
    running.send(signal.SIGKILL)
    running.wait()
    assert not (empty / "multirun" / "superseded").exists()
