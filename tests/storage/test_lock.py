"""Locks of job folders between several processes."""

import errno
import fcntl
import logging
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from src.bad_input import BadInput
from src.job import run_job
from src.runs.ending import failure_reason
from src.runs.folder import JobFolder, set_aside_folder
from src.storage.lock import folder_lock, is_locked, job_lock
from src.storage.space import check_space
from tests.conftest import files_below
from tests.world import configuration

# pytest's process has threads, which its forked children do not need.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

CONTEXT = multiprocessing.get_context("fork")


@pytest.fixture
def run():
    """Start functions in processes that end with the test."""
    started = []

    def run(function, *arguments):
        process = CONTEXT.Process(target=function, args=arguments)
        process.start()
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.join()


def hold(folder, held):
    with job_lock(folder):
        held.set()
        signal.pause()


def held_by_another(run, folder):
    held = CONTEXT.Event()
    owner = run(hold, folder, held)
    assert held.wait(30)
    return owner


def eventually(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_is_owned_is_false_for_a_free_folder_and_creates_nothing(tmp_path):
    assert not is_locked(tmp_path / "job")
    assert not (tmp_path / "job").exists()
    with job_lock(tmp_path / "job"):
        pass
    assert not is_locked(tmp_path / "job")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_folder_is_held_until_its_owner_dies(run, tmp_path, number):
    owner = held_by_another(run, tmp_path)
    assert is_locked(tmp_path)
    with pytest.raises(BlockingIOError, match=str(tmp_path)), job_lock(tmp_path, wait=False):
        pass
    os.kill(owner.pid, number)
    owner.join()
    assert not is_locked(tmp_path)


def wait_for(folder, done):
    logging.getLogger().addHandler(logging.FileHandler(folder / "said"))
    with job_lock(folder):
        done.set()
        signal.pause()


def test_a_waiting_process_logs_it_and_gets_the_lock_next(run, tmp_path):
    owner, done = held_by_another(run, tmp_path), CONTEXT.Event()
    waiting = run(wait_for, tmp_path, done)
    eventually(lambda: sleeps_in_flock(waiting.pid))
    assert not done.is_set()
    assert "another process is training" in (tmp_path / "said").read_text()
    owner.kill()
    assert done.wait(30)


def ask(folder, until, wrong):
    while not until.is_set():
        if is_locked(folder):
            wrong.set()


def test_checking_for_an_owner_blocks_nobody(run, tmp_path):
    with job_lock(tmp_path):
        pass
    until, wrong = CONTEXT.Event(), CONTEXT.Event()
    askers = [run(ask, tmp_path, until, wrong) for _ in range(2)]
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        assert not is_locked(tmp_path)
    until.set()
    for asker in askers:
        asker.join()
    assert not wrong.is_set()


def test_checking_for_an_owner_never_makes_a_lock_fail(run, tmp_path):
    with job_lock(tmp_path):
        pass
    until, wrong = CONTEXT.Event(), CONTEXT.Event()
    run(ask, tmp_path, until, wrong)
    for _ in range(300):
        with job_lock(tmp_path, wait=False):
            pass
    until.set()


def test_set_aside_moves_the_whole_folder(tmp_path):
    job = JobFolder(tmp_path / "jobs" / "bn-0")
    job.path.mkdir(parents=True)
    (job.path / "file").write_bytes(b"kept")
    set_aside_folder(job, tmp_path)
    (there,) = (tmp_path / "superseded").iterdir()
    assert there.name.startswith("bn-0-")
    assert (there / "file").read_bytes() == b"kept"
    assert not job.path.exists()


def test_set_aside_refuses_a_held_folder(run, tmp_path):
    job = JobFolder(tmp_path / "jobs" / "bn-0")
    held_by_another(run, job.path)
    with pytest.raises(BlockingIOError):
        set_aside_folder(job, tmp_path)
    assert job.path.exists()


def hold_and_mark(folder: Path, entered, name):
    with job_lock(folder):
        (folder / name).touch()
        entered.set()
        signal.pause()


@pytest.mark.parametrize("gone", ["moved", "deleted"])
def test_after_waiting_for_a_folder_that_is_gone_the_new_one_is_held(run, tmp_path, gone):
    folder = tmp_path / "job"
    owner, entered = held_by_another(run, folder), CONTEXT.Event()
    waiting = run(hold_and_mark, folder, entered, "mine")
    eventually(lambda: sleeps_in_flock(waiting.pid))
    folder.rename(tmp_path / "aside")
    if gone == "deleted":
        (tmp_path / "aside" / "lock").unlink()
    owner.kill()
    assert entered.wait(30)
    assert (folder / "mine").exists()
    assert is_locked(folder)


def sleeps_in_flock(pid):
    """Whether a process waits for a lock, which /proc/locks shows by an arrow; without it, wait half a second."""
    if not Path("/proc/locks").exists():
        time.sleep(0.5)
        return True
    return any("->" in line and f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines())


def create_under_lock(folder, together):
    together.wait()
    with folder_lock(folder):
        seen = len(list(folder.iterdir()))
        time.sleep(0.02)
        (folder / str(seen)).touch(exist_ok=False)


def test_folder_lock_lets_only_one_process_create_something(run, tmp_path):
    together = CONTEXT.Barrier(4)
    makers = [run(create_under_lock, tmp_path, together) for _ in range(4)]
    for maker in makers:
        maker.join(30)
        assert maker.exitcode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3"]


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL], ids=errno.errorcode.get)
def no_locks(request, monkeypatch):
    """A file system without locks: NFS without its lock daemon, Lustre without -o flock."""

    def fail(*arguments):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", fail)


def test_a_file_system_without_locks_is_refused_with_the_folder(no_locks, tmp_path):
    for lock in (job_lock, folder_lock):
        with pytest.raises(BadInput) as refused, lock(tmp_path):
            pass
        assert str(refused.value).startswith(f"normlab: {tmp_path} has no file locks")
        assert len(str(refused.value).splitlines()) == 3


def test_an_output_folder_without_locks_is_refused_before_anything_is_created(no_locks, tmp_path):
    with pytest.raises(BadInput, match=f"{tmp_path} has no file locks"):
        check_space(tmp_path / "multirun", 1)
    assert files_below(tmp_path) == []


def test_without_locks_no_folder_is_owned(no_locks, tmp_path):
    (tmp_path / "lock").touch()
    assert not is_locked(tmp_path)


def test_a_job_on_a_machine_without_locks_fails_and_logs_the_reason(no_locks, tmp_path, capsys):
    """Another machine may mount the folder differently; a worker's standard error is the job's log."""
    folder = tmp_path / "job"
    with pytest.raises(BadInput):
        run_job(configuration(), folder)
    said = capsys.readouterr().err
    assert f"{folder} has no file locks" in said
    (folder / "train.log").write_text(said)
    assert failure_reason(folder, "FAILED", "its process ended", None) == "its process ended"
    assert JobFolder(folder).failed
    assert not (folder / "journal.jsonl").exists()


def test_a_lock_held_by_another_machine_is_not_taken(tmp_path, monkeypatch):
    """CIFS raises PermissionError instead of BlockingIOError."""
    with job_lock(tmp_path):
        pass

    def fail(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(fcntl, "flock", fail)
    assert is_locked(tmp_path)
    with pytest.raises(BlockingIOError), job_lock(tmp_path, wait=False):
        pass


def test_the_lock_is_open_for_reading_and_writing(tmp_path, monkeypatch):
    """NFS needs read access for a shared lock, and write access for an exclusive one."""
    modes = []
    flock = fcntl.flock

    def listen(file, kind):
        modes.append((kind & ~fcntl.LOCK_NB, fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE))
        flock(file, kind)

    monkeypatch.setattr(fcntl, "flock", listen)
    with job_lock(tmp_path), pytest.raises(BlockingIOError), job_lock(tmp_path, wait=False):
        pass
    assert is_locked(tmp_path) is False
    assert {(fcntl.LOCK_EX, os.O_RDWR), (fcntl.LOCK_SH, os.O_RDWR), (fcntl.LOCK_SH, os.O_RDONLY)} == set(modes)
