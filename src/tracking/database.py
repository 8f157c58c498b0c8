"""Creates database stores and corrects the paths in them, because MLflow has no call for either.

MLflow's database holds the absolute path of each run's files. The path becomes wrong when the project is renamed, moved
or copied. An experiment also holds one path for the files of new runs, although several users may share it.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from mlflow import MlflowClient

from src.runs.multirun import ID_FILE, Multirun
from src.storage.files import sync_folder
from src.tracking.address import is_database, sqlite_file

ID_TAG = "multirun"  # the tag of a run with the id of its `multirun` folder
FILES_TAG = "normlab.files"  # the tag of an experiment whose runs keep their files in the users' folders
PLACE_TAG = "normlab.place."  # start of an experiment's tag that ends with a folder's id and holds the folder's path

RUNS = sa.table("runs", sa.column("run_uuid"), sa.column("experiment_id"), sa.column("artifact_uri"))
TAGS = sa.table("tags", sa.column("run_uuid"), sa.column("key"), sa.column("value"))
EXPERIMENTS = sa.table("experiments", sa.column("experiment_id"), sa.column("artifact_location"))
EXPERIMENT_TAGS = sa.table("experiment_tags", sa.column("experiment_id"), sa.column("key"), sa.column("value"))
OUR_EXPERIMENTS = sa.select(EXPERIMENT_TAGS.c.experiment_id).where(EXPERIMENT_TAGS.c.key == FILES_TAG)


def prepare_database(uri: str) -> None:
    """Connect to a database server once, or create a new SQLite store.

    MLflow takes 2.5 seconds to create the tables. If it is killed meanwhile, the file never opens again. A new store is
    therefore created under another name and renamed when complete. The caller holds the lock of its folder.
    """
    if is_database(uri) and not uri.startswith("sqlite"):  # MLflow would retry a refusal for two minutes
        _make_engine(uri).connect().close()
    file = sqlite_file(uri)
    if file is None or file.exists():
        return
    path = file.resolve()  # resolves a link, so the link itself is not replaced
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    for partial in path.parent.glob(f"{new.name}*"):  # a killed command left them
        partial.unlink()
    MlflowClient(tracking_uri=f"sqlite:///{os.path.relpath(new)}").get_experiment_by_name("normlab")
    new.replace(path)
    sync_folder(path.parent)


def restore_id(uri: str, multirun: Multirun) -> Multirun:
    """Return the folder; if its id file was lost, its id comes from the project's own database."""
    if not (multirun.new and _is_projects_own(uri, multirun)):
        return multirun
    tags = EXPERIMENT_TAGS.c
    has_this_path = tags.key.startswith(PLACE_TAG) & (tags.value == str(multirun.path))
    with _make_engine(uri).begin() as connection:
        key = connection.scalar(sa.select(tags.key).where(has_this_path))
    if key is None:
        return multirun
    notice = f"{multirun.path / ID_FILE} was lost; the folder's id is restored from the project's database"
    return replace(multirun, id=str(key).removeprefix(PLACE_TAG), new=False, notice=notice)


def update_paths(uri: str, multirun: Multirun) -> None:
    """Write a `multirun` folder's id and path into all database rows of its runs."""
    if _is_projects_own(uri, multirun):
        with _make_engine(uri).begin() as connection:
            _tag_old_rows(connection, multirun)
            # Replace ids only once, because the original folder may deliver to this database later.
            if not _row_exists(connection, EXPERIMENT_TAGS, EXPERIMENT_TAGS.c.key == f"{PLACE_TAG}{multirun.id}"):
                for earlier_id in multirun.copied_from:  # each copy of the folder may have copied the database too
                    _replace_folder_id(connection, earlier_id, multirun.id)
            # MLflow uses an experiment's path for all new runs, even for runs that the user creates.
            is_ours = EXPERIMENTS.c.experiment_id.in_(OUR_EXPERIMENTS)
            has_other_path = EXPERIMENTS.c.artifact_location != multirun.artifacts
            _update(connection, EXPERIMENTS, is_ours & has_other_path, artifact_location=multirun.artifacts)
    place_files(uri, multirun)


def place_files(uri: str, multirun: Multirun, run_id: str | None = None) -> None:
    """Make all runs of a `multirun` folder, or only the run `run_id`, keep their files in the folder."""
    our_runs = sa.select(TAGS.c.run_uuid).where(TAGS.c.key == ID_TAG, TAGS.c.value == multirun.id)
    right_path = sa.literal(f"{multirun.artifacts}/") + RUNS.c.run_uuid + sa.literal("/artifacts")
    is_ours = RUNS.c.experiment_id.in_(OUR_EXPERIMENTS) & RUNS.c.run_uuid.in_(our_runs)
    must_change = is_ours & (RUNS.c.artifact_uri != right_path)
    if run_id is not None:
        must_change = must_change & (RUNS.c.run_uuid == run_id)
    with _make_engine(uri).begin() as connection:
        _update(connection, RUNS, must_change, artifact_uri=right_path)


def _is_projects_own(uri: str, multirun: Multirun) -> bool:
    """Return whether the database lies in the project's folder and was moved or copied with it."""
    file = sqlite_file(uri)
    if file is None or multirun.project.resolve() not in file.resolve().parents:
        return False
    original = Path(multirun.original).parent
    if not multirun.original or multirun.project not in original.parents:
        return True
    # The copy may contain the original. Then the database is the copy's own only if the original has one as well.
    return (original / file.resolve().relative_to(multirun.project.resolve())).exists()


def _tag_old_rows(connection: sa.Connection, multirun: Multirun) -> None:
    """Add the tags of normlab to experiments and runs of older versions, which did not set them."""
    is_old = EXPERIMENTS.c.artifact_location.like("file:%/multirun/artifacts")
    untagged = sa.select(EXPERIMENTS.c.experiment_id).where(is_old, EXPERIMENTS.c.experiment_id.not_in(OUR_EXPERIMENTS))
    if rows := [{"experiment_id": id_, "key": FILES_TAG, "value": "true"} for id_ in connection.scalars(untagged)]:
        connection.execute(sa.insert(EXPERIMENT_TAGS), rows)
    tagged_runs = sa.select(TAGS.c.run_uuid).where(TAGS.c.key == ID_TAG)
    our_runs = sa.select(TAGS.c.run_uuid).where(TAGS.c.key == "kind", TAGS.c.value.in_(["job", "sweep"]))
    old_runs = connection.scalars(our_runs.where(TAGS.c.run_uuid.not_in(tagged_runs)))
    if rows := [{"run_uuid": run, "key": ID_TAG, "value": multirun.id} for run in old_runs]:
        connection.execute(sa.insert(TAGS), rows)


def _replace_folder_id(connection: sa.Connection, old: str, new: str) -> None:
    """Replace a folder's old id by its new id in the tags of all runs and experiments."""
    _update(connection, TAGS, (TAGS.c.key == ID_TAG) & (TAGS.c.value == old), value=new)
    tags = sa.select(EXPERIMENT_TAGS.c.experiment_id, EXPERIMENT_TAGS.c.key)
    for experiment, key in connection.execute(tags.where(EXPERIMENT_TAGS.c.key.contains(old))).all():
        of_experiment = EXPERIMENT_TAGS.c.experiment_id == experiment
        new_key = key.replace(old, new)
        if not _row_exists(connection, EXPERIMENT_TAGS, of_experiment & (EXPERIMENT_TAGS.c.key == new_key)):
            _update(connection, EXPERIMENT_TAGS, of_experiment & (EXPERIMENT_TAGS.c.key == key), key=new_key)


def _update(connection: sa.Connection, table: sa.TableClause, where: sa.ColumnElement[bool], **values: Any) -> None:
    """Set columns of the rows that match a condition; if no row matches, the database is not locked."""
    if _row_exists(connection, table, where):
        connection.execute(sa.update(table).where(where).values(values))


def _row_exists(connection: sa.Connection, table: sa.TableClause, where: sa.ColumnElement[bool]) -> bool:
    return connection.scalar(sa.select(sa.literal(1)).select_from(table).where(where).limit(1)) is not None


def _make_engine(uri: str) -> sa.Engine:
    return sa.create_engine(uri, poolclass=sa.NullPool)
