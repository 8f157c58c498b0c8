import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import load_file

from src.config import Config, Regularization
from src.data.sources import load
from src.data.splits import make_splits
from src.datasets import Synthetic
from src.job import run_job
from src.models.cnn import CNN
from src.norms.bn import BatchNorm
from src.norms.none import NoNorm
from src.options import SGD, Adam, AdamW, NoTracking, OneCycle
from src.report.facts import _environment_rows
from src.results.frames import run_frame
from src.runs.folder import ARTIFACTS, FinishedJob, JobFolder
from src.runs.identity import cell_key, code_digest, identity, job_key
from src.runs.integrity import numbers_fault
from src.runs.predictions import load_predictions
from src.runs.shapes import result_fault
from src.sweep.trees import to_config
from src.training.loop import Diverged
from src.training.network import make_network

PROJECT = Path(__file__).parents[2]
AGAIN = """
import sys
from pathlib import Path
from omegaconf import OmegaConf
from src.job import run_job
from src.sweep.trees import to_config
run_job(to_config(OmegaConf.load(sys.argv[1])), Path(sys.argv[2]))
"""


def small_job() -> Config:
    data = Synthetic(
        batch_size=16,
        validation=20,
        split_seed=0,
        classes=4,
        channels=1,
        size=28,
        images=100,
        test_images=60,
        noise=2.0,
    )
    return Config(
        norm=BatchNorm(eps=1e-5, momentum=0.1),
        reg=Regularization(l1=1e-5, dropout=0.1),
        optimizer=Adam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8),
        schedule=OneCycle(warmup=0.25),
        data=data,
        model=CNN(width=4),
        tracking=NoTracking(),
        epochs=2,
        seed=0,
        threads=1,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("jobs") / "bn_s0-made_up"
    run_job(small_job(), folder)
    return folder


@pytest.fixture(autouse=True, scope="module")
def torch_settings():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def diverging() -> Config:
    config = small_job()
    config.norm, config.optimizer = NoNorm(), SGD(lr=1e9, momentum=0.0, nesterov=False)
    return config


def test_a_finished_job_leaves_these_files_and_no_other(finished):
    assert sorted(path.name for path in finished.iterdir()) == sorted(
        [*ARTIFACTS, "journal.jsonl", "lock", "result.json"]
    )


def test_the_result_is_written_last(finished):
    last = (finished / "result.json").stat().st_mtime_ns
    assert all(path.stat().st_mtime_ns <= last for path in finished.iterdir())


def test_the_journal_tells_the_whole_story(finished):
    config = small_job()
    records = JobFolder(finished).records()
    assert [record["kind"] for record in records] == ["start", "ready", "epoch", "epoch"]
    start, ready = records[:2]
    source = load(config.data).source
    leaves = identity(config, source.digest)
    assert start["config"]["reg"]["l1"] == 1e-5
    assert start["code"] == code_digest()
    assert torch.__version__.startswith(start["environment"]["torch"])
    assert (ready["job"], ready["cell"]) == (job_key(leaves), cell_key(leaves))
    assert ready["source"]["digest"] == source.digest
    assert ready["parameters"] == sum(
        parameter.numel() for parameter in make_network(config, load(config.data).source).parameters()
    )
    assert ready["device"] in ("cpu", "cuda", "mps")
    assert "changed_labels" not in ready


def test_a_finished_job_reads_as_one(finished):
    job = FinishedJob(JobFolder(finished))
    assert job.settings["norm.name"] == "bn"
    assert [epoch["epoch"] for epoch in job.epochs] == [1, 2]
    assert set(job.result) == {"metrics", "seconds", "finished"}
    assert 0 < job.result["seconds"]["train"] < job.result["seconds"]["total"]


def test_the_stored_configuration_is_the_jobs(finished):
    assert to_config(OmegaConf.load(finished / "config.yaml")) == small_job()


def test_predictions_are_what_the_stored_weights_say(finished):
    config = small_job()
    images = load(config.data)
    model = make_network(config, images.source)
    model.load_state_dict(load_file(finished / "weights.safetensors"))
    model.eval()
    test = make_splits(config.data, images).test
    with torch.no_grad():
        probabilities = model(test.normalise(test.images)).softmax(dim=1).numpy()
    found = load_predictions(finished / "predictions.npz")
    assert np.array_equal(found.predicted, probabilities.argmax(axis=1))
    assert np.array_equal(found.predicted, found.probabilities.argmax(axis=1))
    assert np.array_equal(found.label, images.test_labels)
    assert np.allclose(found.probabilities, probabilities, atol=1e-6)


def test_the_result_agrees_with_predictions_and_journal(finished):
    job = FinishedJob(JobFolder(finished))
    found, metrics = load_predictions(finished / "predictions.npz"), job.result["metrics"]
    right = found.probabilities[np.arange(len(found)), found.label].astype(np.float64)
    assert metrics["test/errors"] == int(found.wrong.sum()) > 0
    assert metrics["test/accuracy"] == (~found.wrong).mean()
    assert metrics["test/loss"] == pytest.approx(-np.log(right).mean(), rel=1e-4)
    validation = [epoch["metrics"]["val/accuracy"] for epoch in job.epochs]
    assert (metrics["val/accuracy"], metrics["best/val_accuracy"]) == (validation[-1], max(validation))
    assert metrics["val/loss"] == job.epochs[-1]["metrics"]["val/loss"]
    assert job.result["seconds"]["train"] == sum(epoch["metrics"]["time/train_seconds"] for epoch in job.epochs)


@pytest.mark.parametrize("name", [name for name in ARTIFACTS if name.endswith(".png")])
def test_pictures_can_be_opened(name, finished):
    with Image.open(finished / name) as picture:
        picture.load()
        assert min(picture.size) > 50


def test_another_job_is_not_taken_for_a_finished_one(finished):
    with pytest.raises(RuntimeError, match="contains another job"):
        run_job(diverging(), finished)


def test_a_finished_job_is_not_touched_again(finished):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in finished.iterdir()}
    accuracy = run_job(small_job(), finished)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in finished.iterdir()} == before
    assert accuracy == json.loads((finished / "result.json").read_bytes())["metrics"]["val/accuracy"]


def test_its_stored_configuration_gives_the_same_job_in_a_fresh_process(finished, tmp_path):
    command = [sys.executable, "-c", AGAIN, str(finished / "config.yaml"), str(tmp_path / "again")]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    for name in ("weights.safetensors", "predictions.npz", "misclassified.png", "per_class.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (finished / name).read_bytes(), name

    def metrics(folder):
        epochs = [record["metrics"] for record in JobFolder(folder).records() if record["kind"] == "epoch"]
        return [{name: value for name, value in epoch.items() if not name.startswith("time/")} for epoch in epochs]

    assert metrics(tmp_path / "again") == metrics(finished)


@pytest.fixture(scope="module")
def precise(tmp_path_factory) -> Path:
    """The job of `finished` with recomputed statistics."""
    folder, config = tmp_path_factory.mktemp("jobs") / "precise", small_job()
    config.norm.stats = "precise"
    run_job(config, folder)
    return folder


def test_one_training_gives_the_results_of_running_averages_and_of_recomputed_statistics(finished, precise):
    averages, recomputed = (FinishedJob(JobFolder(folder)) for folder in (finished, precise))
    for name in ("test/loss", "test/accuracy", "val/loss", "val/accuracy"):
        assert recomputed.result["metrics"][f"{name}_ema"] == averages.result["metrics"][name]
        assert recomputed.epochs[-1]["metrics"][f"{name}_ema"] == averages.result["metrics"][name]
    assert recomputed.result["metrics"]["test/loss"] != averages.result["metrics"]["test/loss"]
    assert recomputed.epochs[0]["metrics"]["val/loss"] == averages.epochs[0]["metrics"]["val/loss"]
    assert numbers_fault(recomputed, recomputed.start["job"]) == ""
    assert not [name for name in averages.result["metrics"] if name.endswith("_ema")]


def test_recomputed_statistics_leave_the_weights_as_they_were(finished, precise):
    averages, recomputed = (load_file(folder / "weights.safetensors") for folder in (finished, precise))
    changed = {name for name, value in averages.items() if not torch.equal(value, recomputed[name])}
    assert {name.rpartition(".")[2] for name in changed} >= {"running_mean", "running_var"}
    assert all("running" in name or "num_batches" in name for name in changed)


def test_both_results_are_in_the_frame_of_runs(finished, precise):
    jobs = {name: FinishedJob(JobFolder(folder)) for name, folder in (("ema", finished), ("precise", precise))}
    frame = run_frame(jobs).set_index("run")
    assert frame.loc["precise", "test/accuracy_ema"] == frame.loc["ema", "test/accuracy"]
    assert np.isnan(frame.loc["ema", "test/accuracy_ema"])
    assert list(frame["norm.stats"]) == ["ema", "precise"]


def test_a_result_with_an_impossible_accuracy_of_running_averages_is_damaged(precise):
    result = FinishedJob(JobFolder(precise)).result
    assert result_fault(result) == ""
    result["metrics"]["val/accuracy_ema"] = 1.5
    assert "val/accuracy_ema=1.5" in result_fault(result)


def test_a_failed_job_leaves_its_reason_and_no_result(tmp_path):
    with pytest.raises(Diverged):
        run_job(diverging(), tmp_path / "job")
    job = JobFolder(tmp_path / "job")
    assert not job.finished
    stop = job.records()[-1]
    assert (stop["kind"], stop["status"]) == ("stop", "FAILED")
    assert "in epoch 1, step" in stop["error"]
    assert len(stop["error"].splitlines()) == 1
    logged = (tmp_path / "job" / "train.log").read_text()
    assert "Traceback (most recent call last)" in logged
    assert stop["error"] in logged


def test_a_job_that_failed_starts_anew(finished, tmp_path):
    with pytest.raises(Diverged):
        run_job(diverging(), tmp_path / "job")
    run_job(small_job(), tmp_path / "job")
    assert [record["kind"] for record in JobFolder(tmp_path / "job").records()] == ["start", "ready", "epoch", "epoch"]
    assert "Traceback" not in (tmp_path / "job" / "train.log").read_text()
    assert (tmp_path / "job" / "weights.safetensors").read_bytes() == (finished / "weights.safetensors").read_bytes()


@pytest.fixture
def ctrl_c_works():
    """A shell lets its background processes ignore Ctrl-C, and the tests with them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_works")
def test_a_job_stopped_by_ctrl_c_says_so(tmp_path):
    config, job = small_job(), JobFolder(tmp_path / "job")
    config.epochs = 2_000

    def press_ctrl_c():
        while not any(record["kind"] == "epoch" for record in job.records()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press_ctrl_c, daemon=True)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        run_job(config, job.path)
    presser.join()
    assert (job.records()[-1]["kind"], job.records()[-1]["status"]) == ("stop", "KILLED")
    assert not job.finished


def test_the_seed_decides_the_first_weights():
    config = small_job()
    images = load(config.data)
    first, again = make_network(config, images.source), make_network(config, images.source)
    config.seed = 1
    other = make_network(config, images.source)
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_adamw_is_given_the_weight_decay(tmp_path):
    config = small_job()
    config.optimizer = AdamW(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8)
    stored = []
    for config.reg.weight_decay in (0.0, 0.5):
        folder = tmp_path / str(config.reg.weight_decay)
        run_job(config, folder)
        stored.append(load_file(folder / "weights.safetensors")["classifier.weight"])
    assert not torch.equal(*stored)


def test_a_job_takes_as_many_threads_as_it_is_given(tmp_path):
    config = small_job()
    for config.threads in (2, 1):
        run_job(config, tmp_path / str(config.threads))
        assert torch.get_num_threads() == config.threads


def test_the_setting_deterministic_of_earlier_versions_has_no_effect(finished, tmp_path):
    config = small_job()
    config.deterministic = True
    run_job(config, tmp_path / "job")
    assert not torch.are_deterministic_algorithms_enabled()
    assert (tmp_path / "job" / "weights.safetensors").read_bytes() == (finished / "weights.safetensors").read_bytes()


def test_the_test_accuracy_stands_in_the_jobs_log(finished):
    assert "test accuracy" in (finished / "train.log").read_text()


def test_data_that_is_not_what_was_planned_is_not_trained_on(tmp_path):
    folder = tmp_path / "bn_s0-00000000"  # named, when it was planned, by the key of other data
    with pytest.raises(RuntimeError, match="has changed since this job was planned"):
        run_job(small_job(), folder)
    (_, stop) = JobFolder(folder).records()
    assert stop["status"] == "FAILED"
    assert not JobFolder(folder).finished


def test_where_a_job_went_on_is_told_beside_where_it_began(finished, tmp_path):
    from src.runs.journal import encode_record, read_journal

    copy = tmp_path / "job"
    copy.mkdir()
    records = read_journal(finished / "journal.jsonl")
    elsewhere = {**records[0]["environment"], "torch": "9.9"}
    resumed = {"kind": "resume", "time": records[-1]["time"], "environment": elsewhere, "device": "cuda"}
    (copy / "journal.jsonl").write_bytes(b"".join(map(encode_record, [*records, resumed])))
    began, later = FinishedJob(JobFolder(copy)).environments
    assert began == {**records[0]["environment"], "device": "cpu", "execution": "eager"}
    assert later == {**elsewhere, "device": "cuda"}
    assert dict(_environment_rows([FinishedJob(JobFolder(finished)), FinishedJob(JobFolder(copy))]))["torch"] == (
        f"{began['torch']} (2 runs), 9.9 (1 run)"
    )
