"""The promise checker reports every planted violation."""

import json
import math
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from src.runs.checkpoint import save_checkpoint
from src.runs.journal import encode_record, read_journal
from src.runs.predictions import load_predictions, save_predictions
from src.storage.files import write_json
from src.storage.stored import sealed
from tests.faults.conftest import execute
from tests.faults.promises import check_after_kill, check_store, snapshot

pytest_plugins = ["tests.faults.fixtures"]
BN = "name LIKE 'bn%'"
OF_BN = f"run_uuid IN (SELECT run_uuid FROM runs WHERE {BN})"
SWEEP = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'kind' AND value = 'sweep')"


def bn(folder: Path) -> Path:
    (path,) = folder.glob("multirun/jobs/bn*")
    return path


def artifacts(folder: Path) -> Path:
    """Return the folder of MLflow's copy of bn's files."""
    mine = (bn(folder) / "weights.safetensors").read_bytes()
    copies = folder.glob("multirun/artifacts/*/artifacts/weights.safetensors")
    return next(path.parent for path in copies if path.read_bytes() == mine)


def sql(statement):
    return lambda folder: execute(folder, statement)


def second_run(which):
    """Copy a run under another id."""

    def plant(folder):
        columns = "name, user_id, status, start_time, lifecycle_stage, artifact_uri, experiment_id"
        execute(folder, f"INSERT INTO runs (run_uuid, {columns}) SELECT 'ghost', {columns} FROM runs WHERE {which}")
        execute(folder, f"INSERT INTO tags SELECT key, value, 'ghost' FROM tags WHERE {which.replace(BN, OF_BN)}")

    return plant


def flipped(path_of):
    """Flip a bit of a file's middle byte and keep its time."""

    def plant(folder):
        path = path_of(folder)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    return plant


def cut(name):
    return lambda folder: os.truncate(bn(folder) / name, (bn(folder) / name).stat().st_size * 2 // 3)


def journal(change):
    """Return a function that changes the records of bn's journal, with correct checksums."""

    def plant(folder):
        path = bn(folder) / "journal.jsonl"
        path.write_bytes(b"".join(map(encode_record, change(read_journal(path)))))

    return plant


def other_loss(records):
    records[2]["metrics"]["val/loss"] = math.nextafter(records[2]["metrics"]["val/loss"], 9)
    return records


def other_result(folder):
    path = bn(folder) / "result.json"
    result = json.loads(path.read_bytes())
    result["metrics"]["test/loss"] += 1
    write_json(path, sealed(result))


def other_predictions(folder):
    path = bn(folder) / "predictions.npz"
    predictions = load_predictions(path)
    save_predictions(path, replace(predictions, predicted=predictions.predicted[::-1]))


def other_verdict(folder):
    (path,) = folder.glob("multirun/sweeps/*/verdict.txt")
    path.write_text(path.read_text().replace("bn", "gn"))


def added(name, content=b"half of it"):
    return lambda folder: (bn(folder) / name).write_bytes(content)


def with_augmentation(records):
    records[0]["config"]["augmentation"]["name"] = "mixup"
    return records


def epoch_logged_twice(folder):
    path = bn(folder) / "train.log"
    path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[0])


def second_picture(folder):
    (picture,) = artifacts(folder).glob("images/*.png")
    shutil.copy(picture, picture.with_name("again.png"))


PLANTED = {
    "a run twice": ("P1 job bn.*: 2 runs", second_run(BN)),
    "a sweep's run twice": ("P1 sweep .*: 2 runs", second_run(SWEEP)),
    "a run deleted": ("P1 job bn.*: 0 runs", sql(f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE {BN}")),
    "a run without a job": ("P1 run bn.*: no manifest", sql(f"DELETE FROM tags WHERE {OF_BN} AND key = 'job_key'")),
    "a run without an owner": ("P1 run bn.*: RUNNING", sql(f"UPDATE runs SET status = 'RUNNING' WHERE {BN}")),
    "a param lost": ("P1 job bn.*: params", sql(f"DELETE FROM params WHERE {OF_BN} AND key = 'norm.name'")),
    "a metric lost": ("P2 .*train/loss.* missing", sql("DELETE FROM metrics WHERE key = 'train/loss' AND step = 2")),
    "a metric twice": (
        r"P2 bn.*val/loss.* is there 1 times instead of 0",
        sql(f"INSERT INTO metrics SELECT key, value, timestamp + 1, run_uuid, step, 0 FROM metrics WHERE {OF_BN}"),
    ),
    "another value": ("P2 .*val/loss.* missing", sql("UPDATE metrics SET value = value * (1 + 3e-16) WHERE step = 1")),
    "another time": ("P2 .*val/loss.* missing", sql("UPDATE metrics SET timestamp = timestamp + 1 WHERE step = 1")),
    "a value for NaN": ("P2 .*NaN", sql("UPDATE metrics SET is_nan = 1 WHERE key = 'val/loss' AND step = 1")),
    "a table left behind": ("P2 bn.* latest", sql("UPDATE latest_metrics SET step = 1 WHERE step = 3")),
    "a final metric lost": ("P2 .*test/errors.* missing", sql("DELETE FROM metrics WHERE key = 'test/errors'")),
    "a final metric not rounded": ("P2 .*test/loss", sql("UPDATE metrics SET value = value + 1e-7 WHERE step = 0")),
    "other weights": ("P3 bn.*weights", flipped(lambda folder: bn(folder) / "weights.safetensors")),
    "other predictions": ("P3 bn.*predictions", other_predictions),
    "another table": ("P3 bn.*per_class", flipped(lambda folder: bn(folder) / "per_class.csv")),
    "another curve": ("P3 bn.*curves", journal(other_loss)),
    "another result": ("P3 bn.*result", other_result),
    "another verdict": ("P3 sweep .*verdict", other_verdict),
    "an epoch twice": (r"P4 bn.*\[1, 2, 3, 3\]", journal(lambda records: [*records, records[-1]])),
    "an epoch left out": (r"P4 bn.*\[2, 3\]", journal(lambda records: records[:2] + records[3:])),
    "no last epoch": ("P4 bn.*finished after 1", journal(lambda records: records[:3])),
    "started twice": ("P4 bn.*start start", journal(lambda records: [records[0], *records])),
    "an epoch computed again": ("P4 bn.*again: epoch 1", epoch_logged_twice),
    "finished without a result": (
        "P5 bn.*FINISHED instead of FAILED",
        lambda folder: (bn(folder) / "result.json").unlink(),
    ),
    "finished with an error": (
        "P5 bn.*with a reason",
        sql(f"UPDATE tags SET key = 'error' WHERE {OF_BN} AND key = 'code'"),
    ),
    "a false failure": ("P5 bn.*FAILED instead", sql(f"UPDATE runs SET status = 'FAILED' WHERE {BN}")),
    "a false failure of a sweep": ("P5 sweep", sql(f"UPDATE runs SET status = 'FAILED' WHERE {SWEEP}")),
    "another artifact": ("P5 bn.*weights", flipped(lambda folder: artifacts(folder) / "weights.safetensors")),
    "an artifact lost": ("P5 bn.*train.log", lambda folder: (artifacts(folder) / "train.log").unlink()),
    "an augmented picture lost": ("P5 bn.*augmented.png", journal(with_augmentation)),
    "another augmented picture": ("P3 bn.*augmented.png", added("augmented.png")),
    "a picture twice": ("P5 bn.*images: 3 files", second_picture),
    "a temporary file": ("P6 .*left over", added(".weights.safetensors.123")),
    "a checkpoint cut": ("P6 .*damaged", added("checkpoint-0.pt", b"normlab checkpoint 1\nhalf of it")),
    "a picture cut": ("P6 .*confusion_matrix.png", cut("confusion_matrix.png")),
    "predictions cut": ("P6 .*predictions.npz", cut("predictions.npz")),
    "weights cut": ("P6 .*weights.safetensors", cut("weights.safetensors")),
    "a table cut": ("P6 .*per_class.csv", cut("per_class.csv")),
    "a result cut": ("P6 .*result.json", cut("result.json")),
    "a journal cut": ("P6 .*journal.jsonl: line", cut("journal.jsonl")),
}


def test_an_undamaged_store_keeps_all_promises(reference, planted):
    before = snapshot(reference / "multirun")
    check_store(reference, reference, before=before)
    check_after_kill(reference / "multirun", before)
    check_store(planted, reference)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_reported(reference, planted, name):
    words, plant = PLANTED[name]
    plant(planted)
    with pytest.raises(AssertionError) as caught:
        check_store(planted, reference)
    assert re.search(words, str(caught.value)), caught.value


def test_a_changed_finished_job_is_reported(reference):
    before = snapshot(reference / "multirun")
    (name,) = (name for name in before if name.startswith("bn"))
    earlier = replace(before[name], files={**before[name].files, "result.json": (0, 0)})
    for check in (check_store, lambda folder, before: check_after_kill(folder / "multirun", before)):
        with pytest.raises(AssertionError, match=r"P4 bn.*changed: result\.json"):
            check(reference, before={**before, name: earlier})


def interrupted(folder):
    """Turn bn into a job that was killed after its second epoch."""
    path = bn(folder)
    journal(lambda records: records[:4])(folder)
    (path / "result.json").unlink()
    save_checkpoint(path, 1, {})
    save_checkpoint(path, 2, {})
    execute(folder, f"UPDATE runs SET status = 'RUNNING' WHERE {BN}")
    return snapshot(folder / "multirun")


@pytest.mark.parametrize(
    ("words", "plant"),
    [
        ("P4 bn.*progress fell from 2 epochs to 1", journal(lambda records: records[:3])),
        ("P4 bn.*restarted", journal(lambda records: [{**records[0], "time": 1}, *records[1:]])),
        ("P4 bn.*checkpoint fell from epoch 2 to 1", lambda folder: (bn(folder) / "checkpoint-0.pt").unlink()),
        (
            "P4 bn.*2 epochs in the journal, the checkpoint of epoch 4",
            lambda folder: save_checkpoint(bn(folder), 4, {}),
        ),
        ("P5 bn.*FINISHED instead", sql(f"UPDATE runs SET status = 'FINISHED' WHERE {BN}")),
        ("P6 .*checkpoint-1.pt: damaged", flipped(lambda folder: bn(folder) / "checkpoint-1.pt")),
        ("P6 .*journal.jsonl: line", flipped(lambda folder: bn(folder) / "journal.jsonl")),
        ("P6 .*weights", cut("weights.safetensors")),
    ],
)
def test_a_state_that_no_kill_may_leave_is_reported(planted, words, plant):
    before = interrupted(planted)
    check_after_kill(planted / "multirun", before)
    plant(planted)
    with pytest.raises(AssertionError) as caught:
        check_after_kill(planted / "multirun", before)
    assert re.search(words, str(caught.value)), caught.value


def test_a_state_that_a_kill_may_leave_is_not_reported(planted):
    before = interrupted(planted)
    added(".checkpoint-1.pt.123")(planted)
    with (bn(planted) / "journal.jsonl").open("ab") as file:
        file.write(b'{"kind":"epoch","ti')
    save_checkpoint(bn(planted), 3, {})
    check_after_kill(planted / "multirun", before)
