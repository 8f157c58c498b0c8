"""Several folders with one store, and one folder in several places: each folder keeps its own runs."""

import json
import os
import re
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils

from src.bad_input import BadInput
from src.options import Tracking
from src.runs.journal import encode_record, read_journal
from src.runs.multirun import ID_FILE, identify_folder, save_identity
from src.tracking import session
from src.tracking.runs import supersede_other_runs
from src.tracking.session import Tracker
from tests.faults.promises import check_store
from tests.faults.stored import read_runs
from tests.unprivileged import refusal_without_privileges


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(session, "DELIVERY_PERIOD", 0.05)


@pytest.fixture
def project(tmp_path, trained, sweep, migrated, monkeypatch):
    """Creates a project's folder with one finished job, by default with its own database."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def make(name, *, database=True):
        folder = tmp_path / name
        shutil.copytree(trained, folder / "multirun/jobs/job")
        sweep.write(folder / "multirun")
        if database:
            shutil.copy(migrated, folder / "mlflow.db")
        return folder

    return make


@pytest.fixture
def deliver(sweep, monkeypatch):
    """Delivers a folder as a command without jobs to train does; returns the printed lines."""

    def run(folder, uri=None, experiment="normlab"):
        utils._artifact_repos_cache.clear()  # a command is a process of its own; MLflow caches this by run only
        monkeypatch.chdir(folder)
        said = []
        tracker = Tracker(Tracking(uri=uri, experiment=experiment), sweep, Path("multirun"), said.append)
        tracker.open()
        assert tracker.close(), said
        return said

    return run


def identity(folder):
    return json.loads((folder / "multirun" / ID_FILE).read_bytes())["id"]


def runs_of(folder, database, artifact_root=None):
    """The runs of a folder in a database that are not superseded."""
    runs = read_runs(database, artifact_root)
    return [run for run in runs if run.tags.get("multirun") == identity(folder) and "superseded" not in run.tags]


def files_of(run):
    return sorted(path.name for path in run.artifacts.rglob("*") if path.is_file())


def test_two_people_with_one_database_keep_their_own_runs_and_files(project, deliver, tmp_path, migrated):
    shared = shutil.copy(migrated, tmp_path / "shared.db")
    uri = f"sqlite:///{shared}"
    a, b = project("a", database=False), project("b", database=False)
    for folder in (a, b, a, b):
        deliver(folder, uri)
    assert identity(a) != identity(b)
    for folder in (a, b):
        runs = runs_of(folder, shared)
        assert sorted((run.tags["kind"], run.status) for run in runs) == [("job", "FINISHED"), ("sweep", "FINISHED")]
        assert all(run.artifacts.is_relative_to(folder / "multirun/artifacts") for run in runs)
        assert all("weights.safetensors" in files_of(run) for run in runs if run.tags["kind"] == "job")
    runs = read_runs(shared)
    assert not [run for run in runs if "superseded" in run.tags]
    assert len({name for run in runs for name in run.tags if name.startswith("sweep.")}) == 2  # a view shows one
    assert {run.name for run in runs if run.tags["kind"] == "sweep"} == {
        "norm 55555555",
        f"norm 55555555 (b {identity(b)[:4]})",
    }


def test_two_people_with_one_server_keep_their_own_runs(project, deliver, server, tmp_path):
    a, b = project("a", database=False), project("b", database=False)
    for folder in (a, b, a):
        deliver(folder, server.uri)
    experiment = MlflowClient(server.uri).get_experiment_by_name("normlab")
    views = [key for key in experiment.tags if key.startswith("mlflow.sharedViewState.sweep-")]
    assert len(views) == 4  # curves and leaderboard of each
    assert str(tmp_path) not in json.dumps(experiment.tags)  # other users need not see the path
    for folder in (a, b):
        server.copy(folder / "mlflow.db")
        check_store(folder, artifact_root=server.artifacts)


@pytest.mark.parametrize("how", ["renamed", "moved below", "copied", "copied and the original removed"])
def test_a_moved_or_copied_project_continues_in_its_new_place(project, deliver, tmp_path, how):
    original = project("orig")
    deliver(original)
    before = {run.id for run in runs_of(original, original / "mlflow.db")}
    old = identity(original)
    # MLflow caches open databases by address, and such a name is not in the address: use it once in this process.
    new = tmp_path / ("what? #1%20" if how == "renamed" else "new #1") / "below"
    new.parent.mkdir()
    untouched = {}
    if how.startswith("copied"):
        shutil.copytree(original, new)
        if how == "copied":
            untouched = {path: path.stat().st_mtime_ns for path in original.rglob("*")}
        else:
            shutil.rmtree(original)
    else:
        original.rename(new)
    said = deliver(new)
    assert any(str(original) in line for line in said)
    assert (identity(new) == old) == (not how.startswith("copied"))
    runs = runs_of(new, new / "mlflow.db")
    assert {run.id for run in runs} == before  # no run is created again
    assert all(run.artifacts.is_relative_to(new) for run in runs)
    check_store(new)
    assert {path: path.stat().st_mtime_ns for path in untouched} == untouched
    assert original.exists() == (how == "copied")
    assert not any(str(original) in line for line in deliver(new))  # only the first command says it


def test_a_copy_with_its_originals_database_leaves_the_originals_runs_alone(project, deliver, tmp_path, migrated):
    shared = shutil.copy(migrated, tmp_path / "shared.db")
    a = project("a", database=False)
    deliver(a, f"sqlite:///{shared}")
    first = {run.id for run in runs_of(a, shared)}
    b = Path(shutil.copytree(a, tmp_path / "b"))
    deliver(b, f"sqlite:///{shared}")
    assert {run.id for run in runs_of(a, shared)} == first
    assert not {run.id for run in runs_of(b, shared)} & first
    check_store_of(shared, a, b)


def check_store_of(database, *folders):
    """The promises, for several folders that share a database."""
    for folder in folders:
        shutil.copy(database, folder / "mlflow.db")
        check_store(folder)
        (folder / "mlflow.db").unlink()


def test_a_folder_from_another_machine_is_a_copy(tmp_path, monkeypatch):
    folder = tmp_path / "multirun"
    first = save_identity(identify_folder(folder))
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    assert identify_folder(folder).id == first.id  # a shared folder: the same path and the same inode
    folder.rename(tmp_path / "gone")
    shutil.copytree(tmp_path / "gone", folder)  # the same path, and another inode
    copy = save_identity(identify_folder(folder))
    assert copy.id != first.id
    assert copy.copied_from == (first.id,)
    assert identify_folder(folder) == replace(copy, notice="")


def test_each_copy_has_its_own_identity(tmp_path):
    original = tmp_path / "orig/multirun"
    first = save_identity(identify_folder(original))
    for name in ("backup", "c1", "c2"):
        shutil.copytree(tmp_path / "orig", tmp_path / name)
    (tmp_path / "orig").rename(tmp_path / "new")
    names = ("backup", "new", "c1", "c2")
    found = {name: save_identity(identify_folder(tmp_path / name / "multirun")).id for name in names}
    assert found["new"] == first.id
    assert len(set(found.values())) == 4
    shutil.copytree(tmp_path / "backup", tmp_path / "orig")  # a copy in the place of the original
    (tmp_path / "new").rename(tmp_path / "newer")
    assert identify_folder(tmp_path / "newer/multirun").id == first.id
    assert identify_folder(tmp_path / "orig/multirun").id not in found.values()


def test_anything_in_place_of_the_identity_file_is_set_aside(tmp_path):
    for number, make in enumerate([Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder / ID_FILE)
        made = save_identity(identify_folder(folder))
        assert identify_folder(folder).id == made.id
        assert len(list(folder.glob("superseded/*"))) == 1


def test_a_folder_with_an_unreadable_original_is_a_copy(tmp_path):
    known = {"machine": os.uname().nodename, "inode": 1, "copied_from": [], "original": ""}
    (tmp_path / "loop").symlink_to("loop")  # like a folder without permission, but root may read those
    folder = tmp_path / "multirun"
    folder.mkdir()
    (folder / ID_FILE).write_text(json.dumps({**known, "id": "a" * 32, "place": str(tmp_path / "loop/multirun")}))
    assert identify_folder(folder).copied_from == ("a" * 32,)


def test_a_read_only_folder_has_the_same_identity_each_time(tmp_path):
    folder = tmp_path / "multirun"
    folder.mkdir()
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_mode & 0o005 != 0o005:
            place.chmod(0o755)
    imports = "import hashlib; from pathlib import Path; from src.runs.multirun import identify_folder, save_identity"
    call = f"sys.exit(save_identity(identify_folder(Path({str(folder)!r}))).id)"
    first = refusal_without_privileges(imports, call)
    assert re.fullmatch("[0-9a-f]{32}", first.strip())
    assert refusal_without_privileges(imports, call) == first
    assert list(folder.iterdir()) == []


def test_a_damaged_identity_is_restored_from_the_projects_own_database(project, deliver):
    folder = project("p")
    deliver(folder)
    before = identity(folder)
    for content in (b"", b"\xff", b"null", b"[" * 100_000, b'{"id": 5}', b'{"id": "../../x"}'):
        (folder / "multirun" / ID_FILE).write_bytes(content)
        deliver(folder)
        assert identity(folder) == before
    check_store(folder)


def test_removed_files_are_delivered_again(project, deliver):
    folder = project("p")
    deliver(folder)
    shutil.rmtree(folder / "multirun/artifacts")
    deliver(folder)
    check_store(folder)


def test_old_runs_are_adopted_only_after_the_identity_is_saved(project, deliver):
    folder = project("p")
    deliver(folder)
    before = {run.id for run in runs_of(folder, folder / "mlflow.db")}
    forget_identity(folder)
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("normlab").experiment_id
    client.delete_experiment(experiment)
    with pytest.raises(BadInput, match="restore"):
        deliver(folder)
    client.restore_experiment(experiment)
    deliver(folder)
    assert {run.id for run in runs_of(folder, folder / "mlflow.db")} == before
    check_store(folder)


def test_a_server_with_the_files_of_another_folder_is_refused(project, deliver, server):
    a, b = project("a", database=False), project("b", database=False)
    deliver(a, f"sqlite:///{server.database}")
    with pytest.raises(BadInput, match=r"tracking\.experiment=NAME"):
        deliver(b, server.uri)
    assert not [run for run in read_runs(server.database) if run.tags.get("multirun") != identity(a)]
    deliver(a, server.uri)  # its own folder, over HTTP
    assert {run.status for run in runs_of(a, server.database)} == {"FINISHED"}


def test_a_run_is_hidden_only_after_it_has_ended(project, deliver, monkeypatch):
    """A command that is killed in between repeats both steps."""
    folder = project("p")
    deliver(folder)
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (run,) = [run for run in runs_of(folder, folder / "mlflow.db") if run.tags["kind"] == "job"]
    client.update_run(run.id, status="RUNNING")
    for broken in ("delete_tag", "set_tag"):
        with monkeypatch.context() as patched:
            patched.setattr(MlflowClient, broken, lambda *_: (_ for _ in ()).throw(ConnectionError("killed")))
            with pytest.raises(ConnectionError):
                supersede_other_runs(client, [client.get_run(run.id)], "")
        now = client.get_run(run.id)
        assert ("superseded" in now.data.tags, now.info.status) == (False, "KILLED")
    supersede_other_runs(client, [client.get_run(run.id)], "")
    assert client.get_run(run.id).data.tags["superseded"] == "true"


def test_a_renamed_experiment_is_found(project, deliver):
    folder = project("p")
    deliver(folder)
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    client.rename_experiment(client.get_experiment_by_name("normlab").experiment_id, "my study")
    deliver(folder)
    deliver(folder, experiment="my study")  # by its new name too
    deliver(folder)
    assert client.get_experiment_by_name("normlab") is None
    check_store(folder)


def test_runs_from_before_folders_had_an_identity_are_adopted(project, deliver):
    folder = project("p")
    deliver(folder)
    before = {run.id for run in runs_of(folder, folder / "mlflow.db")}
    forget_identity(folder)
    moved = folder.rename(folder.with_name("q"))
    deliver(moved)
    assert {run.id for run in runs_of(moved, moved / "mlflow.db")} == before
    check_store(moved)


def forget_identity(folder):
    """Remove the identity from a store and a folder, as before folders had one."""
    (folder / "multirun" / ID_FILE).unlink()
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute("DELETE FROM tags WHERE key = 'multirun'")
        database.execute("DELETE FROM experiment_tags WHERE key LIKE 'normlab.%'")
    database.close()


def test_old_runs_on_a_server_are_adopted_by_the_folder_that_made_them(project, deliver, server):
    a, b = project("a", database=False), project("b", database=False)
    journal = b / "multirun/jobs/job/journal.jsonl"
    records = read_journal(journal)
    journal.write_bytes(b"".join(encode_record({**record, "time": record["time"] + 1}) for record in records))
    deliver(a, server.uri)
    runs = {run.id for run in runs_of(a, server.database, server.artifacts)}
    (a / "multirun" / ID_FILE).unlink()
    for run in runs:
        MlflowClient(server.uri).delete_tag(run, "multirun")
    deliver(b, server.uri)
    assert not {run.id for run in runs_of(b, server.database, server.artifacts)} & runs
    deliver(a, server.uri)
    assert {run.id for run in runs_of(a, server.database, server.artifacts)} == runs
