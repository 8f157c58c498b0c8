"""Whatever a job dies of, it dies of alone, and its cause is told where one looks for it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from src.runs.folder import JobFolder
from tests.conftest import clean_environment
from tests.faults.promises import check_store
from tests.faults.stored import read_runs

SIX = "-m norm=bn reg.l1=0,1e-6,1e-5,2e-5,3e-5,4e-5 data=synthetic data.images=300 data.validation=50 epochs=2"
# Runs in the process that jobs are forked from, and lets some of them die as programs do.
DEATHS = """
import sys
if any("forkserver" in word for word in sys.orig_argv):
    import ctypes, os, signal
    import src.job
    train = src.job.train

    def die(model, splits, optimizer, schedule, config, *rest):
        strength = config.reg.l1
        if strength == 1e-5:
            ctypes.string_at(0)
        if strength == 2e-5:
            sys.exit(0)
        if strength == 3e-5:
            os.kill(os.getpid(), signal.SIGKILL)
        if strength == 4e-5:
            next(model.parameters()).data.fill_(float("nan"))
        train(model, splits, optimizer, schedule, config, *rest)

    src.job.train = die
"""
CAUSES = {"1e-05": "SIGSEGV", "2e-05": "SystemExit: 0", "3e-05": "SIGKILL", "4e-05": "Diverged: in epoch 1, step 1"}


def test_four_ways_to_die_leave_the_other_jobs_alone_and_are_told_truly(command, tmp_path):
    (tmp_path / "deaths").mkdir()
    (tmp_path / "deaths/sitecustomize.py").write_text(DEATHS)
    path = os.pathsep.join([str(tmp_path / "deaths"), os.environ.get("PYTHONPATH", "")])
    done = command("src.train", *SIX.split(), PYTHONPATH=path)
    assert done.returncode == 1, done.stderr
    folders = {run.params["reg.l1"]: run for run in read_runs(tmp_path / "mlflow.db") if run.tags["kind"] == "job"}
    assert {strength for strength, run in folders.items() if run.status == "FINISHED"} == {"0", "1e-06"}
    for strength, cause in CAUSES.items():
        run = folders[strength]
        assert run.status == "FAILED"
        assert cause in run.tags["error"]
        (folder,) = tmp_path.glob(f"multirun/jobs/*-{run.tags['job_key'][:8]}")
        assert cause in (folder / "train.log").read_text()
        assert f"l1={strength}" in done.stdout
        assert cause in done.stdout  # the comparison names it
    check_store(tmp_path)

    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("multirun/jobs/*/result.json")}
    again = command("src.train", *SIX.split())
    assert again.returncode == 0, again.stderr
    check_store(tmp_path)
    assert len(before) == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before


def start(tmp_path, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "src.train", *words],
        cwd=tmp_path,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_until(reached, process):
    deadline = time.monotonic() + 90
    while not reached():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def epochs(tmp_path):
    return {
        path.parent.name: sum(record["kind"] == "epoch" for record in JobFolder(path.parent).records())
        for path in tmp_path.glob("multirun/jobs/*/journal.jsonl")
    }


LONG = ("-m", "norm=bn,gn,ln", "data=synthetic", "data.images=1500", "epochs=40", "hydra.launcher.workers=2")


@pytest.mark.slow
def test_a_parent_that_is_killed_takes_its_workers_along(tmp_path):
    process = start(tmp_path, *LONG)
    try:
        wait_until(lambda: len(epochs(tmp_path)) == 2 and min(epochs(tmp_path).values()) >= 1, process)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 3  # the server and two jobs
    finally:
        process.kill()
        process.communicate()
    psutil.wait_procs(children, timeout=5)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("whom", ["parent", "all"])  # a shell's kill, and a terminal's Ctrl-C
def test_a_stopped_sweep_lists_what_is_left_and_its_jobs_are_killed_at_their_last_checkpoint(
    tmp_path, number, status, whom
):
    process = start(tmp_path, *LONG)
    try:
        wait_until(lambda: len(epochs(tmp_path)) == 2 and min(epochs(tmp_path).values()) >= 1, process)
        asked = time.monotonic()
        if whom == "parent":
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
        _, told = process.communicate(timeout=60)
        seconds = time.monotonic() - asked
    finally:
        process.kill()
    assert process.returncode == status, told
    assert "3 of 3 jobs are left" in told
    assert "to go on, write: python -m src.train -m norm=bn,gn,ln" in told
    assert "Traceback" not in told
    assert seconds < 10  # a hanging job is killed after four
    runs = [run for run in read_runs(tmp_path / "mlflow.db") if run.tags["kind"] == "job"]
    assert [run.status for run in runs] == ["KILLED", "KILLED"]
