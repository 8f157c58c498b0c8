import sqlite3
from dataclasses import replace

import pytest

from src.augmentation.crop_flip import CropFlip
from src.bad_input import BadInput
from src.job import run_job
from src.options import Tracking
from src.runs.folder import ARTIFACTS, AUGMENTED, JobFolder
from src.runs.journal import encode_record
from src.runs.paper_schema import parse_paper
from src.runs.sweep import PlannedJob, Sweep
from src.tracking.address import store_uri
from src.tracking.delivery import Delivery
from src.tracking.store import open_store
from src.tracking.sweep_run import SweepRun
from tests.world import DATA, configuration

SWEEP = "5" * 64


@pytest.fixture
def delivery(store, job, planned):
    """Creates a delivery, as each command does."""
    parent = store.client.create_run(store.experiment_id, tags={"kind": "sweep"}).info.run_id
    return lambda: Delivery(store, SWEEP, parent, planned, job, False)


def the_run(store, planned):
    (run,) = store.find_runs(kind="job", job_key=planned.key)
    return run


def rows(tmp_path):
    """All rows of the store, by table."""
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        tables = ("metrics", "params", "tags", "inputs", "datasets", "latest_metrics", "runs")
        found = {table: sorted(database.execute(f"select * from {table}").fetchall(), key=repr) for table in tables}
    database.close()
    return found


def test_a_finished_job_is_delivered_completely(store, delivery, planned, job):
    delivery().deliver_new_records()
    run = the_run(store, planned)
    assert run.info.status == "FINISHED"
    assert run.info.start_time == job.records()[0]["time"]
    assert run.info.end_time == job.result()["finished"]
    assert run.info.run_name == "gn l1=0.0001 s0"
    assert run.data.params == planned.params
    assert run.data.tags["cell"] == "gn l1=0.0001"
    assert run.data.tags["env.torch"] == job.records()[0]["environment"]["torch"]
    assert (run.data.tags["env.device"], run.data.tags["env.execution"]) == ("cpu", "eager")
    dataset = run.inputs.dataset_inputs[0].dataset
    assert dataset.name == "synthetic"
    assert job.records()[1]["source"]["digest"].startswith(dataset.digest)
    for name, value in job.result()["metrics"].items():
        if not name.startswith("val/"):
            assert run.data.metrics[name] == pytest.approx(value, abs=5e-5)
    for record in job.records()[2:]:
        for name, value in record["metrics"].items():
            history = store.client.get_metric_history(run.info.run_id, name)
            assert (record["epoch"], record["time"], value) in [(m.step, m.timestamp, m.value) for m in history]


def test_a_run_with_augmentation_gets_the_picture_of_what_the_network_saw(store, world):
    planned = world.finish(replace(world.configuration(), augmentation=CropFlip(padding=4, flip=True)), {7: 0.9})
    parent = store.client.create_run(store.experiment_id, tags={"kind": "sweep"}).info.run_id
    job = JobFolder(world.multirun / "jobs" / planned.folder)
    Delivery(store, SWEEP, parent, planned, job, False).deliver_new_records()
    run = the_run(store, planned)
    assert run.info.status == "FINISHED"
    names = {item.path for item in store.client.list_artifacts(run.info.run_id)}
    assert names == {*ARTIFACTS, AUGMENTED, "images"}


def test_a_metric_of_the_last_epoch_is_not_delivered_again_as_a_final_metric(store, tmp_path):
    config = configuration("bn", data=DATA)
    config.norm = replace(config.norm, stats="precise")
    job = JobFolder(tmp_path / "multirun/jobs/precise")
    run_job(config, job.path)
    records = job.records()
    planned = PlannedJob(records[1]["job"], "precise", "bn s0", "bn", {})
    parent = store.client.create_run(store.experiment_id, tags={"kind": "sweep"}).info.run_id
    Delivery(store, SWEEP, parent, planned, job, False).deliver_new_records()
    run = the_run(store, planned)
    assert run.info.status == "FINISHED"
    for name in ("test/loss_ema", "test/accuracy_ema", "val/accuracy_ema"):
        (metric,) = store.client.get_metric_history(run.info.run_id, name)
        assert (metric.step, metric.value) == (config.epochs, records[-1]["metrics"][name])


def test_a_second_delivery_changes_nothing(store, delivery, tmp_path):
    delivery().deliver_new_records()
    once = rows(tmp_path)
    images = sorted(path.name for path in tmp_path.glob("multirun/artifacts/*/artifacts/images/*"))
    delivery().deliver_new_records()
    assert rows(tmp_path) == once
    assert len(images) == 2


def test_an_interrupted_delivery_is_completed_without_duplicates(store, delivery, planned, tmp_path):
    broken = delivery()
    broken._end_run = lambda *_: (_ for _ in ()).throw(ConnectionError("the server is gone"))
    with pytest.raises(ConnectionError):
        broken.deliver_new_records()
    assert the_run(store, planned).info.status == "RUNNING"
    delivery().deliver_new_records()
    run = the_run(store, planned)
    assert run.info.status == "FINISHED"
    for name in ("val/loss", "test/loss"):
        history = store.client.get_metric_history(run.info.run_id, name)
        assert len({metric.step for metric in history}) == len(history)
    assert len(list(tmp_path.glob("multirun/artifacts/*/artifacts/images/*"))) == 2


def test_epochs_arrive_while_the_job_trains(store, delivery, planned, job):
    lines = job.journal.read_bytes().splitlines(keepends=True)
    result = job.result_path.read_bytes()
    job.result_path.unlink()
    live = delivery()
    for count in range(1, len(lines) + 1):
        job.journal.write_bytes(b"".join(lines[:count]))
        live.deliver_new_records()
        run = the_run(store, planned)
        assert run.info.status == "RUNNING"
        assert len(store.client.get_metric_history(run.info.run_id, "val/loss")) == max(count - 2, 0)
    job.result_path.write_bytes(result)
    live.deliver_new_records()
    assert the_run(store, planned).info.status == "FINISHED"


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_a_stopped_job_has_its_status_reason_and_log(store, delivery, planned, job, status):
    job.result_path.unlink()
    stop = {"kind": "stop", "time": 1_795_000_000_000, "status": status, "error": "Diverged: in epoch 2"}
    job.journal.write_bytes(job.journal.read_bytes() + encode_record(stop))
    delivery().deliver_new_records()
    run = the_run(store, planned)
    assert run.info.status == status
    assert run.data.tags["error"] == "Diverged: in epoch 2"
    assert [item.path for item in store.client.list_artifacts(run.info.run_id)] == ["train.log"]


def test_a_job_that_died_silently_fails_when_the_sweep_ends(store, delivery, planned, job):
    job.result_path.unlink()
    delivery().close()
    run = the_run(store, planned)
    assert run.info.status == "FAILED"
    assert "ended without a message" in run.data.tags["error"]


def test_a_new_attempt_is_a_new_run_and_supersedes_the_first(store, delivery, planned, job):
    job.result_path.unlink()
    live = delivery()
    live.deliver_new_records()
    first = the_run(store, planned).info.run_id
    records = job.records()
    records[0]["time"] += 1000
    job.journal.write_bytes(b"".join(map(encode_record, records[:1])))
    live.deliver_new_records()
    second = the_run(store, planned)
    assert second.info.run_id != first
    old = store.client.get_run(first)
    assert old.info.status == "KILLED"
    assert old.data.tags["superseded"] == "true"
    assert not any(name.startswith("sweep.") for name in old.data.tags)


def test_a_job_in_a_second_sweep_keeps_its_run_and_gets_a_second_tag(store, planned, job, delivery):
    delivery().deliver_new_records()
    parent = store.client.create_run(store.experiment_id, tags={"kind": "sweep"}).info.run_id
    Delivery(store, "6" * 64, parent, planned, job, False).deliver_new_records()
    run = the_run(store, planned)
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert {name for name in run.data.tags if name.startswith("sweep.")} == {f"sweep.{SWEEP}", f"sweep.{'6' * 64}"}


@pytest.mark.parametrize("jobs", [100, 101])
def test_a_sweep_larger_than_one_page_mentions_load_more(store, tmp_path, jobs):
    planned = [PlannedJob(f"{seed:064x}", f"bn_s{seed}", "bn", "bn", {"seed": str(seed)}) for seed in range(jobs)]
    run = SweepRun(store, Sweep("5" * 64, "python -m src.train -m", 1, ["norm.name", "seed"], planned), tmp_path)
    lines = run.lines_to_open_mlflow()
    assert [line.split()[0] for line in lines[1:4]] == ["curves", "leaderboard", "means"]
    assert ("Load more" in lines[-1]) == (jobs > 100)


def test_the_run_of_a_papers_sweep_has_its_name_and_its_outcome_as_tags(store, sweep, tmp_path):
    claim = {"claim": "bn is worse", "mean": {"norm": "bn"}, "at_most": 1}
    paper = parse_paper("gn_groups", {"title": "T", "source": "S", "claims": [claim]})
    run = SweepRun(store, replace(sweep, paper=paper), tmp_path / "multirun")
    run.open()
    tags = store.client.get_run(run.id).data.tags
    assert (tags["paper"], "claims" in tags) == ("gn_groups", False)
    (sweep.folder(tmp_path / "multirun") / "verdict.txt").write_text("of 3 claims, 3 hold.\nHolds: x.\n")
    run.close()
    assert store.client.get_run(run.id).data.tags["claims"] == "of 3 claims, 3 hold."


def test_the_configured_store_replaces_that_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert store_uri(Tracking()) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert store_uri(Tracking()) == "http://127.0.0.1:5000"
    assert store_uri(Tracking(uri="sqlite:///mine.db")) == "sqlite:///mine.db"


def test_the_refusal_of_a_deleted_experiment_shows_how_to_restore_it(store, tmp_path):
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(BadInput, match=f"mlflow experiments restore --experiment-id {store.experiment_id}"):
        open_store(Tracking(uri=store.uri, experiment="normlab"), tmp_path / "multirun")


def test_partial_files_of_a_killed_delivery_are_removed(store, delivery, planned, tmp_path):
    broken = delivery()
    broken._end_run = lambda *_: (_ for _ in ()).throw(ConnectionError("killed"))
    with pytest.raises(ConnectionError):
        broken.deliver_new_records()
    (folder,) = tmp_path.glob("multirun/artifacts/*/artifacts")
    (folder / "images" / ".artifact.uploading.ek0qwdiq").write_bytes(b"par")
    (folder / ".artifact.uploading.9s8d7f").touch()
    delivery().deliver_new_records()
    assert the_run(store, planned).info.status == "FINISHED"
    assert not [path.name for path in folder.rglob("*") if path.name.startswith(".")]
