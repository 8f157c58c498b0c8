"""A job that was killed goes on where it was, to the same bytes."""

import json
import random
import shutil
import signal
import time
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import load_file

from src.config import Config, Regularization
from src.data.label_noise import changed_label_count
from src.data.sources import load
from src.job import run_job
from src.norms.bn import BatchNorm
from src.norms.ghost import GhostBatchNorm
from src.options import OneCycle
from src.runs.checkpoint import CHECKPOINT_FILES, load_checkpoint
from src.runs.folder import JobFolder
from src.runs.journal import encode_record
from src.storage.lock import is_locked
from tests.world import configuration

EPOCHS = 6


def job():
    config = configuration("gn", l1=1e-4)
    config.epochs, config.reg.dropout, config.schedule = EPOCHS, 0.2, OneCycle(warmup=0.25)
    config.data = replace(config.data, images=400, label_noise=0.3)
    return config


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = JobFolder(tmp_path_factory.mktemp("whole") / "job")
    run_job(job(), folder.path)
    return folder


@pytest.fixture(scope="module")
def start(forked):
    """A function that starts a job in a process."""
    return lambda folder, config=None: forked.train(config or job(), folder.path)


def epochs_of(folder):
    return [record["epoch"] for record in folder.records() if record["kind"] == "epoch"]


def curve(folder):
    """Every number of every epoch that is not a time."""
    return [
        {name: value for name, value in record["metrics"].items() if not name.startswith("time/")}
        for record in folder.records()
        if record["kind"] == "epoch"
    ]


def assert_same(folder, whole):
    assert epochs_of(folder) == list(range(1, EPOCHS + 1))
    assert curve(folder) == curve(whole)
    for name in ("weights.safetensors", "predictions.npz", "misclassified.png", "confusion_matrix.png"):
        assert (folder.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert folder.result()["metrics"] == whole.result()["metrics"]
    assert not [path.name for path in folder.path.iterdir() if path.name.startswith((".", "checkpoint"))]


def test_a_job_records_how_many_labels_its_noise_changed(whole):
    data = job().data
    (ready,) = [record for record in whole.records() if record["kind"] == "ready"]
    assert ready["changed_labels"] == changed_label_count(data, load(data)) > 0


def test_killed_again_and_again_it_ends_the_same(start, tmp_path, whole):
    folder = JobFolder(tmp_path / "job")
    chance = random.Random(0)
    seen = 0
    for _ in range(200):
        process = start(folder)
        goal, deadline = len(epochs_of(folder)) + 1, time.monotonic() + 30
        while len(epochs_of(folder)) < goal and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        process.send(signal.SIGKILL)
        process.wait()
        assert len(epochs_of(folder)) >= seen, "progress fell"
        seen = len(epochs_of(folder))
        if folder.finished:
            break
    assert folder.finished
    assert_same(folder, whole)
    resumed = sum(record["kind"] == "resume" for record in folder.records())
    assert resumed >= 3, "hardly anything was killed"


@pytest.fixture(scope="module")
def stopped_after(start):
    """A function that leaves a folder as a kill leaves it when an epoch is over."""

    def stop(folder, epochs, config=None):
        # A kill that comes too late is tried again.
        deadline = time.monotonic() + 60
        while True:
            process = start(folder, config)
            while len(epochs_of(folder)) < epochs:
                assert time.monotonic() < deadline
                time.sleep(0.002)
            process.send(signal.SIGKILL)
            process.wait()
            newest = load_checkpoint(folder.path)
            if not folder.finished and newest and newest["epoch"] == epochs == len(epochs_of(folder)):
                return
            shutil.rmtree(folder.path)

    return stop


def test_a_job_with_seeds_of_its_own_resumes_to_the_bytes_of_the_seed_that_they_equal(stopped_after, tmp_path):
    apart, together = job(), job()
    apart.init_seed = apart.order_seed = together.seed = 5
    expected, folder = JobFolder(tmp_path / "whole"), JobFolder(tmp_path / "job")
    run_job(together, expected.path)
    stopped_after(folder, 3, apart)
    run_job(apart, folder.path)
    assert sum(record["kind"] == "resume" for record in folder.records()) == 1
    assert_same(folder, expected)


def everything() -> Config:
    """A job with every regulariser that keeps a state or draws random numbers."""
    config = configuration("bn")
    config.epochs, config.schedule, config.data.images = 3, OneCycle(warmup=0.25), 400
    config.reg = Regularization(1e-3, "proximal", weight_decay=0.1, dropout=0.3, clip=1.0, ema=0.9, sam=0.05)
    return config


class Stopped(Exception):
    """Raised where a test stops a job."""


def stop_after_epoch(number):
    def listener(progress):
        if progress.epoch == number:
            raise Stopped

    return listener


def test_averaged_weights_are_kept_and_resume_to_the_same_bytes(tmp_path):
    """The second stop comes after the last epoch's checkpoint, before the first of the last files."""
    expected, folder = JobFolder(tmp_path / "whole"), JobFolder(tmp_path / "job")
    run_job(everything(), expected.path)

    def stop(*_):
        raise Stopped

    with pytest.raises(Stopped):
        run_job(everything(), folder.path, stop_after_epoch(1))
    with pytest.raises(Stopped):
        run_job(everything(), folder.path, draw=stop)
    raw = load_checkpoint(folder.path)["parts"]["model"]
    run_job(everything(), folder.path)
    assert epochs_of(folder) == [1, 2, 3]
    assert curve(folder) == curve(expected)
    assert folder.result()["metrics"] == expected.result()["metrics"]
    for name in ("weights.safetensors", "predictions.npz"):
        assert (folder.path / name).read_bytes() == (expected.path / name).read_bytes(), name
    kept = load_file(folder.path / "weights.safetensors")
    assert not any(torch.equal(kept[name], raw[name]) for name in ("classifier.weight", "classifier.bias"))


@pytest.mark.parametrize(
    ("norm", "epoch"),
    [
        (GhostBatchNorm(eps=1e-5, momentum=0.1, chunk=4), 3),
        (BatchNorm(eps=1e-5, momentum=0.1, stats="frozen", frozen_share=0.5), 3),  # the last epoch that is not frozen
        (BatchNorm(eps=1e-5, momentum=0.1, stats="frozen", frozen_share=0.5), 4),
        (BatchNorm(eps=1e-5, momentum=0.1, stats="precise"), EPOCHS),
    ],
)
def test_a_norm_with_statistics_resumes_to_the_same_bytes(norm, epoch, tmp_path):
    config, expected, folder = job(), JobFolder(tmp_path / "whole"), JobFolder(tmp_path / "job")
    config.norm, config.data.images = norm, 100

    def stop(update):
        if update.epoch == epoch:
            raise KeyboardInterrupt

    run_job(config, expected.path)
    with pytest.raises(KeyboardInterrupt):
        run_job(config, folder.path, stop)
    assert epochs_of(folder) == list(range(1, epoch + 1))
    run_job(config, folder.path)
    assert sum(record["kind"] == "resume" for record in folder.records()) == 1
    assert_same(folder, expected)


@pytest.mark.parametrize("damaged", [1, 2])
def test_damaged_checkpoints_cost_epochs_and_nothing_else(stopped_after, tmp_path, whole, damaged):
    folder = JobFolder(tmp_path / "job")
    stopped_after(folder, 3)
    before = [encode_record(record) for record in folder.records() if record["kind"] == "epoch"]
    checkpoints = sorted(folder.path.glob("checkpoint-*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in checkpoints[:damaged]:
        path.write_bytes(path.read_bytes()[:-1])
    run_job(job(), folder.path)
    assert [encode_record(record) for record in folder.records() if record["kind"] == "epoch"][: len(before)] == before
    assert_same(folder, whole)
    assert "is damaged" in (folder.path / "train.log").read_text()


def torn(folder, kept, epoch):
    """Cut an epoch's line, the last one, to its first bytes; only the checkpoint that closes the epoch is there."""
    records = [record for record in folder.records() if record.get("epoch", 0) <= epoch]
    line = encode_record(records[-1])
    folder.journal.write_bytes(b"".join(map(encode_record, records[:-1])) + line[:kept])
    for path in folder.path.glob("checkpoint-*"):
        if path.name != CHECKPOINT_FILES[epoch % 2]:
            path.unlink()
    return line


@pytest.mark.parametrize("kept", [0, -1])
def test_a_torn_line_comes_back_to_the_byte(stopped_after, tmp_path, whole, kept):
    folder = JobFolder(tmp_path / "job")
    stopped_after(folder, 2)
    line = torn(folder, kept, 2)
    run_job(job(), folder.path)
    assert line in folder.journal.read_bytes().splitlines(keepends=True)
    assert_same(folder, whole)


@pytest.mark.slow
def test_a_line_torn_anywhere_comes_back_to_the_byte(stopped_after, tmp_path, whole):
    stopped = JobFolder(tmp_path / "stopped")
    stopped_after(stopped, 2)
    length = len(torn(stopped, 0, 2))
    for kept in [*range(0, length, 7), length - 1]:
        folder = JobFolder(tmp_path / "job")
        shutil.copytree(stopped.path, folder.path)
        torn(folder, kept, 2)
        run_job(job(), folder.path)
        assert_same(folder, whole)
        shutil.rmtree(folder.path)


def test_another_jobs_checkpoint_is_noticed_and_not_gone_on_from(stopped_after, tmp_path, whole):
    other = JobFolder(tmp_path / "other")
    config = job()
    config.seed = 1  # the same network, so that its weights would fit
    stopped_after(other, 3, config)
    folder = JobFolder(tmp_path / "job")
    stopped_after(folder, 2)
    for path in other.path.glob("checkpoint-*"):
        shutil.copy(path, folder.path)
    run_job(job(), folder.path)
    assert "belongs to another job" in (folder.path / "train.log").read_text()
    assert_same(folder, whole)


def test_checkpoints_under_each_others_names_cost_nothing(stopped_after, tmp_path, whole):
    folder = JobFolder(tmp_path / "job")
    stopped_after(folder, 3)
    first, second = (folder.path / name for name in CHECKPOINT_FILES)
    first.rename(folder.path / "between")
    second.rename(first)
    (folder.path / "between").rename(second)
    run_job(job(), folder.path)
    assert_same(folder, whole)
    log = (folder.path / "train.log").read_text()
    assert all(log.count(f"epoch {epoch}/{EPOCHS}  loss") <= 1 for epoch in (1, 2, 3)), "computed again"


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["truncated", "flipped"])
def test_a_checkpoint_damaged_anywhere_costs_epochs_and_nothing_else(stopped_after, tmp_path, whole, harm):
    stopped = JobFolder(tmp_path / "stopped")
    stopped_after(stopped, 3)
    newest = CHECKPOINT_FILES[3 % 2]
    content = (stopped.path / newest).read_bytes()
    chance = random.Random(0)
    for _ in range(20):
        place = chance.randrange(len(content))
        damaged = bytearray(content[:place] if harm == "truncated" else content)
        if harm == "flipped":
            damaged[place] ^= 1 << chance.randrange(8)
        folder = JobFolder(tmp_path / "job")
        shutil.copytree(stopped.path, folder.path)
        (folder.path / newest).write_bytes(damaged)
        run_job(job(), folder.path)
        assert "is damaged" in (folder.path / "train.log").read_text(), place
        assert [record["kind"] for record in folder.records()].count("start") == 1, "another attempt"
        assert_same(folder, whole)
        shutil.rmtree(folder.path)


def test_edited_code_starts_again_from_epoch_1(stopped_after, tmp_path, whole):
    folder = JobFolder(tmp_path / "job")
    stopped_after(folder, 2)
    records = folder.records()
    records[0]["code"] = "0" * 64
    folder.journal.write_bytes(b"".join(map(encode_record, records)))
    run_job(job(), folder.path)
    assert folder.records()[0]["time"] > records[-1]["time"]
    assert "resume" not in [record["kind"] for record in folder.records()]
    assert_same(folder, whole)


def test_a_second_owner_waits_for_the_first_and_trains_nothing(start, tmp_path, whole):
    folder = JobFolder(tmp_path / "job")
    first, second = start(folder), start(folder)
    deadline = time.monotonic() + 30
    while not epochs_of(folder):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    assert is_locked(folder.path)
    for process in (first, second):
        assert process.wait(30).status == 0
    assert not is_locked(folder.path)
    assert [record["kind"] for record in folder.records()] == ["start", "ready"] + ["epoch"] * EPOCHS
    assert_same(folder, whole)


def test_a_configuration_read_back_from_a_journal_is_the_same_job():
    assert json.loads(json.dumps(asdict(job()))) == asdict(job())
