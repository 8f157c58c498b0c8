"""A dying job stops no other, and every command reports its cause."""

import contextlib
import fcntl
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time

import psutil
import pytest

from src.runs.folder import JobFolder
from tests.conftest import clean_environment
from tests.faults.promises import check_store
from tests.faults.stored import read_runs

SIX = "-m norm=bn reg.l1=0,1e-6,1e-5,2e-5,3e-5,4e-5 data=synthetic data.images=300 data.validation=50 epochs=2"
# Runs in the process that jobs are forked from, and makes some jobs die.
DEATHS = """
import sys
if any("forkserver" in word for word in sys.orig_argv):
    import ctypes, os, signal
    import src.job
    train = src.job.train

    def die(model, splits, optimizer, schedule, config, **rest):
        strength = config.reg.l1
        if strength == 1e-5:
            ctypes.string_at(0)
        if strength == 2e-5:
            sys.exit(0)
        if strength == 3e-5:
            os.kill(os.getpid(), signal.SIGKILL)
        if strength == 4e-5:
            next(model.parameters()).data.fill_(float("nan"))
        return train(model, splits, optimizer, schedule, config, **rest)

    src.job.train = die
"""
CAUSES = {"1e-05": "SIGSEGV", "2e-05": "SystemExit: 0", "3e-05": "SIGKILL", "4e-05": "Diverged: in epoch 1, step 1"}


def test_four_ways_to_die_stop_no_other_job_and_are_reported(command, tmp_path, migrated):
    shutil.copy(migrated, tmp_path)
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
        assert cause in done.stdout  # the comparison reports it
    check_store(tmp_path)

    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("multirun/jobs/*/result.json")}
    again = command("src.train", *SIX.split())
    assert again.returncode == 0, again.stderr
    check_store(tmp_path)
    assert len(before) == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before


def heed_signals():
    """Undo the ignored signals that a process inherits from nohup or from a shell's background job."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(tmp_path, *words, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "src.train", *words],
        cwd=tmp_path,
        env=clean_environment() | variables,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_signals,
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
def test_workers_end_when_their_parent_is_killed(tmp_path):
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
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
@pytest.mark.parametrize("whom", ["parent", "all"])  # a shell's kill, and a terminal's Ctrl-C
def test_a_stopped_sweep_lists_unfinished_jobs_which_keep_their_last_checkpoint(tmp_path, number, status, whom):
    process = start(tmp_path, *LONG, "resume=restart")
    try:
        wait_until(lambda: len(epochs(tmp_path)) == 2 and min(epochs(tmp_path).values()) >= 1, process)
        sent = time.monotonic()
        if whom == "parent":
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
        _, output = process.communicate(timeout=60)
        seconds = time.monotonic() - sent
    finally:
        process.kill()
    assert process.returncode == status, output
    assert "3 of 3 jobs are left" in output
    assert "to resume, run: python -m src.train -m norm=bn,gn,ln" in output
    assert "resume=restart" not in output  # it would retrain them
    assert "Traceback" not in output
    assert seconds < 10  # a hanging job is killed after four seconds
    runs = [run for run in read_runs(tmp_path / "mlflow.db") if run.tags["kind"] == "job"]
    assert [run.status for run in runs] == ["KILLED", "KILLED"]


@pytest.mark.slow
def test_the_same_sweep_started_twice_trains_each_job_once_and_both_succeed(tmp_path):
    both = [start(tmp_path, *LONG) for _ in range(2)]
    try:
        output = [process.communicate(timeout=240) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], output
    for out, _ in output:
        assert all(f"\n{norm}" in out for norm in ("bn", "gn", "ln")), out  # both compare all three
    jobs = [JobFolder(path) for path in tmp_path.glob("multirun/jobs/*")]
    assert len(jobs) == 3
    for job in jobs:
        assert [record["kind"] for record in job.records()] == ["start", "ready", *["epoch"] * 40]
    check_store(tmp_path)


# A job that ignores signals, in a command that would wait ten minutes for it.
DEAF = """
import sys
if "src.train" in sys.orig_argv:
    import src.workers.processes
    src.workers.processes.STOP_TIMEOUT = 600.0
if any("forkserver" in word for word in sys.orig_argv):
    import signal, time
    import src.job

    def hear_nothing(*_, **__):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        open("deaf", "w").close()
        time.sleep(600)

    src.job.train = hear_nothing
"""


@pytest.mark.slow
def test_ctrl_c_waits_for_jobs_to_stop_and_a_second_ctrl_c_does_not(tmp_path):
    (tmp_path / "deaf-site").mkdir()
    (tmp_path / "deaf-site/sitecustomize.py").write_text(DEAF)
    path = os.pathsep.join([str(tmp_path / "deaf-site"), os.environ.get("PYTHONPATH", "")])
    terminal, of_process = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "src.train", *LONG, "tracking=none"],
        cwd=tmp_path,
        env=clean_environment() | {"PYTHONPATH": path, "TERM": "xterm"},
        stdin=of_process,
        stdout=of_process,
        stderr=of_process,
        start_new_session=True,
        # The controlling terminal lets Ctrl-C reach all its processes.
        preexec_fn=lambda: (heed_signals(), fcntl.ioctl(of_process, termios.TIOCSCTTY, 0)),
    )
    os.close(of_process)
    shown = Terminal(terminal)
    try:
        wait_until((tmp_path / "deaf").exists, process)
        children = psutil.Process(process.pid).children(recursive=True)
        os.write(terminal, b"\x03")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
        os.write(terminal, b"\x03")
        assert process.wait(timeout=30) == 130, shown.text
    finally:
        process.kill()
        process.wait()
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert "Traceback" not in shown.text
    begun = [job.records()[-1] for path in tmp_path.glob("multirun/jobs/*") if (job := JobFolder(path)).records()]
    assert {last["status"] for last in begun} == {"KILLED"}
    # The deaf job; the other one may have stopped before.
    reasons = {last["error"] for last in begun}
    assert "the command was stopped" in reasons <= {"the command was stopped", "KeyboardInterrupt"}
    assert "3 of 3 jobs are left" in shown.text
    assert "to resume, run: python -m src.train -m norm=bn,gn,ln" in shown.text


class Terminal:
    """Reads a terminal's output continuously, which keeps writers from blocking."""

    def __init__(self, terminal: int) -> None:
        self._terminal, self._shown = terminal, b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # closed at the other end
            while part := os.read(self._terminal, 4096):
                self._shown += part

    @property
    def text(self) -> str:
        return self._shown.decode(errors="replace")


# Makes the imports of the process that jobs are forked from slow.
SLOW = """
import sys, time
class Slow:
    def find_spec(self, name, *_):
        if name == "torch":
            open("importing", "w").close()
            time.sleep(4)
if any("forkserver" in word for word in sys.orig_argv):
    sys.meta_path.insert(0, Slow())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_signal_before_the_first_job_starts_is_reported(tmp_path, number, status):
    (tmp_path / "slow-site").mkdir()
    (tmp_path / "slow-site/sitecustomize.py").write_text(SLOW)
    path = os.pathsep.join([str(tmp_path / "slow-site"), os.environ.get("PYTHONPATH", "")])
    process = start(tmp_path, *LONG, "tracking=none", PYTHONPATH=path)
    try:
        wait_until((tmp_path / "importing").exists, process)
        time.sleep(2)  # the command now waits for that process
        os.killpg(process.pid, number)
        _, output = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status, output
    assert "Traceback" not in output
    assert "3 of 3 jobs are left" in output
