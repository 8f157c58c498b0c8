"""A full disk: the last checkpoint stays, the error names the file, and the job resumes once there is room."""

import contextlib
import shutil
import subprocess

import pytest

from src.job import run_job
from src.runs.folder import JobFolder
from tests.faults.commands import SWEEP
from tests.faults.job_folders import same_numbers
from tests.faults.promises import check_store
from tests.world import configuration

pytest_plugins = ["tests.faults.fixtures"]
PAGE = 4096  # bytes; a file system in memory grows by pages


@contextlib.contextmanager
def small_disk(path, pages):
    """Mount a file system of some pages; yields a function that enlarges it."""
    path.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={max(pages, 1) * PAGE}", "tmpfs", str(path)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no file system of a chosen size can be mounted here")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=100m", str(path)], check=True)
    finally:
        subprocess.run(["umount", str(path)], check=True)


def job(epochs=3):
    config = configuration("gn", l1=1e-4)
    config.epochs = epochs
    return config


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = JobFolder(tmp_path_factory.mktemp("whole") / "job")
    run_job(job(), folder.path)
    return folder


@pytest.fixture(scope="module")
def train(forked):
    """A function that runs the job in a process and returns its exit status and its output."""

    def run(folder, said, file_size=None, epochs=3):
        said.unlink(missing_ok=True)
        done = forked.train(job(epochs), folder.path, streams=(said, said), file_size=file_size).wait(60)
        return done.status, done.said

    return run


def check_full(folder, status, output):
    """Check a job that met a full disk; return its recorded epochs."""
    assert status == 1, output
    assert "FAILED: OSError: [Errno" in output
    assert str(folder.path) in output, "which file?"
    assert "Traceback" not in output
    assert not folder.finished
    assert not list(folder.path.glob(".*"))
    return [record["epoch"] for record in folder.records() if record["kind"] == "epoch"]


def check_resumes(train, folder, whole, said, before):
    epochs = whole.records()[-1]["epoch"]
    status, output = train(folder, said, epochs=epochs)
    assert status == 0, output
    assert [record["epoch"] for record in folder.records() if record["kind"] == "epoch"][: len(before)] == before
    assert list(same_numbers(folder, whole)) == []
    starts = [record["kind"] for record in folder.records()].count("start")
    assert starts == 1
    log = (folder.path / "train.log").read_text()
    assert all(log.count(f"epoch {epoch}/{epochs}  loss") <= 1 for epoch in before), "computed again"


def sizes_in_turn(folder):
    """Return the sizes of a finished job's files, each less one byte."""
    return sorted({path.stat().st_size - 1 for path in folder.path.iterdir()} - {-1})


def no_file_larger_than(train, size, tmp_path, whole):
    folder = JobFolder(tmp_path / f"at-{size}")
    status, output = train(folder, tmp_path / "said", file_size=size)
    if folder.finished:
        return status
    before = check_full(folder, status, output)
    check_resumes(train, folder, whole, tmp_path / "said", before)
    return len(before)


def test_a_file_that_cannot_grow_costs_at_most_the_epoch_under_way(train, tmp_path, whole):
    largest = max(sizes_in_turn(whole))
    assert [no_file_larger_than(train, size, tmp_path, whole) for size in (1700, 20_000, largest)] == [0, 0, 3]


@pytest.mark.slow
def test_after_any_file_could_not_grow_the_job_resumes_once_there_is_room(train, tmp_path, whole):
    output = 500  # the job's own output must fit
    for size in (*sizes_in_turn(whole), *range(output, 120_000, 1500)):
        if size >= output:
            no_file_larger_than(train, size, tmp_path, whole)


def filled_at(train, pages, tmp_path, whole):
    """Train on a disk of some pages; return how many epochs were recorded when it was full."""
    with small_disk(tmp_path / "disk", pages) as make_room:
        folder = JobFolder(tmp_path / "disk" / "job")
        status, output = train(folder, tmp_path / "said")
        before = check_full(folder, status, output)
        make_room()
        check_resumes(train, folder, whole, tmp_path / "said", before)
    return len(before)


def test_a_full_disk_costs_at_most_the_epoch_under_way(train, tmp_path, whole):
    assert [filled_at(train, pages, tmp_path, whole) for pages in (2, 25, 40, 60)] == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_disk_full_at_any_page_costs_at_most_the_epoch_under_way(train, tmp_path, whole):
    seen = [filled_at(train, pages, tmp_path, whole) for pages in range(1, 90)]
    assert seen == sorted(seen)
    assert set(seen) == {0, 1, 2, 3}


def test_a_journal_that_cannot_grow_loses_no_epoch(train, tmp_path):
    whole = JobFolder(tmp_path / "whole")
    assert train(whole, tmp_path / "said", epochs=15)[0] == 0
    assert whole.journal.stat().st_size > PAGE
    folder = JobFolder(tmp_path / "job")
    folder.path.mkdir()
    folder.journal.symlink_to(tmp_path / "disk" / "journal.jsonl")
    with small_disk(tmp_path / "disk", 1) as make_room:
        status, output = train(folder, tmp_path / "said", epochs=15)
        before = check_full(folder, status, output)
        assert "journal.jsonl" in output
        assert 5 < len(before) < 15
        make_room()
        check_resumes(train, folder, whole, tmp_path / "said", before)


@contextlib.contextmanager
def store_on_small_disk(tmp_path, migrated, room):
    """Yield a folder whose `mlflow.db` is on a small disk with some free pages, and a function that enlarges it."""
    folder = tmp_path / "here"
    folder.mkdir()
    with small_disk(tmp_path / "disk", -(-migrated.stat().st_size // PAGE) + room) as make_room:
        shutil.copy(migrated, tmp_path / "disk")
        (folder / "mlflow.db").symlink_to(tmp_path / "disk" / "mlflow.db")
        yield folder, make_room


def store_filled_at(room, forked, tmp_path, migrated, reference):
    """Return the exit status of a command whose store ran full."""
    with store_on_small_disk(tmp_path, migrated, room) as (folder, make_room):
        done = forked.run(folder, *SWEEP, patience=1)
        assert "Traceback" not in done.said
        assert "disk is full" in done.said or "disk I/O error" in done.said, done.said
        if done.status == 3:
            assert "python -m src.sync --sweep" in done.said
            assert len(list(folder.glob("multirun/jobs/*/result.json"))) == 2
        else:
            assert done.status == 2, done.said
            assert len(done.said.splitlines()) <= 3, done.said
        make_room()
        again = forked.run(folder, *SWEEP)
        assert again.status == 0, again.said
        check_store(folder, reference)
    shutil.rmtree(tmp_path / "here")
    return done.status


def test_a_store_on_a_full_disk_delays_no_job_and_gets_everything_later(forked, tmp_path, migrated, reference):
    assert store_filled_at(12, forked, tmp_path, migrated, reference) == 3


@pytest.mark.slow
def test_a_store_full_at_any_page_gets_everything_later(forked, tmp_path, migrated, reference):
    seen = [store_filled_at(room, forked, tmp_path, migrated, reference) for room in range(0, 60, 3)]
    assert set(seen) == {2, 3}
