"""Commands that meet finished jobs with damaged files."""

import json
import random
import shutil
import time

import pytest

from src.bad_input import BadInput
from src.options import Tracking
from src.runs.journal import encode_record, read_journal
from src.runs.sweep import read_sweep
from src.sync import sync
from tests import damage
from tests.conftest import files_below

LINE = ("-m", "norm=bn,gn", "data=synthetic", "data.images=200", "data.test_images=50", "data.validation=50")
OPTIONS = ("epochs=1", "model.width=4", "tracking=none")


@pytest.mark.slow  # three real commands
def test_the_same_command_reports_damaged_jobs_and_retrains_them(command, tmp_path):
    line = ("src.train", *LINE, *OPTIONS)
    assert command(*line).returncode == 0
    bn, gn = sorted((tmp_path / "multirun/jobs").iterdir())
    weights = {folder: (folder / "weights.safetensors").read_bytes() for folder in (bn, gn)}
    for path in (bn / "journal.jsonl", gn / "predictions.npz"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    before = files_below(tmp_path)
    output = command(*line, "plan=true")
    assert output.returncode == 0
    assert f"{bn.relative_to(tmp_path)}/journal.jsonl line 1 is damaged" in output.stdout
    assert f"{gn.relative_to(tmp_path)}/predictions.npz " in output.stdout
    assert files_below(tmp_path) == before
    done = command(*line)
    assert done.returncode == 0, done.stderr
    (line_said,) = (line for line in done.stderr.splitlines() if line.startswith("damaged: "))
    for path in (bn / "journal.jsonl", gn / "predictions.npz"):
        assert str(path.relative_to(tmp_path)) in line_said
    assert {folder: (folder / "weights.safetensors").read_bytes() for folder in (bn, gn)} == weights
    assert len(list((tmp_path / "multirun/superseded").iterdir())) == 2
    assert "damaged" not in done.stdout


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")  # SQLAlchemy 2.1 of MLflow 3.17
def test_sync_reports_damaged_jobs_at_once_and_delivers_the_others(world, tmp_path, migrated, capsys):
    from mlflow import MlflowClient

    jobs = [world.finish(world.configuration(norm), {7: 0.9}) for norm in ("bn", "gn", "ln", "in")]
    world.sweep(jobs)
    folders = [world.multirun / "jobs" / job.folder for job in jobs]
    (folders[0] / "misclassified.png").unlink()
    damage.cut(folders[1] / "result.json", random.Random(1))
    (folders[2] / "journal.jsonl").unlink()
    shutil.copy(migrated, tmp_path / "mlflow.db")
    began = time.monotonic()
    assert sync(world.multirun, [], Tracking("sqlite", f"sqlite:///{tmp_path / 'mlflow.db'}", "normlab")) == 3
    assert time.monotonic() - began < 30  # a store without an answer takes a minute
    output = capsys.readouterr().err
    for job, what in zip(
        jobs[:3], ("misclassified.png is missing", "result.json is not JSON", "journal.jsonl "), strict=True
    ):
        assert f"not delivered to MLflow: {job.label}: {job.folder_in(world.multirun).path}/{what}" in output
    assert "  write: python -m src.train\n" in output
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("normlab").experiment_id])
    assert {(run.info.run_name, run.info.status) for run in runs if run.data.tags["kind"] == "job"} == {
        (jobs[3].label, "FINISHED")
    }


def test_a_manifest_with_paths_outside_the_folder_is_refused(world):
    sweep = world.sweep([world.finish(world.configuration(), {7: 0.9})])
    manifest = sweep.folder(world.multirun) / "manifest.json"
    for folder in ("../../elsewhere", "..", "/etc", ""):
        stored = json.loads(manifest.read_bytes())
        stored["jobs"][0]["folder"] = folder
        manifest.write_text(json.dumps(stored))
        with pytest.raises(BadInput, match=r"manifest\.json has a job that has folder="):
            read_sweep(manifest)
        sweep.write(world.multirun)


def test_a_journal_with_correct_checksums_but_another_configuration_is_reported(world):
    job = world.finish(world.configuration(), {7: 0.9})
    path = job.folder_in(world.multirun).journal
    records = read_journal(path)
    records[0]["config"]["seed"] = 5  # not the job whose key the journal names
    path.write_bytes(b"".join(map(encode_record, records)))
    from src.results.results import load_results

    (found,) = load_results([world.sweep([job])], world.multirun).unfinished
    assert found.reason == f"{path} belongs to another job"
