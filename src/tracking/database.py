"""Creates database stores and corrects the paths in them, because MLflow has no call for that.

MLflow's database holds the absolute path of each run's files, which is wrong once the project is renamed, moved or
copied. An experiment has one path for the files of new runs, and several users may share it.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from mlflow import MlflowClient

from src.runs.multirun import FILE, Multirun
from src.storage.files import sync_folder
from src.tracking.address import is_database, sqlite_file

MULTIRUN = "multirun"  # tag of a run: the identity of its folder
FILES = "normlab.files"  # tag of an experiment: the files of its runs lie in the users' folders
PLACE = "normlab.place."  # with an identity, a tag of an experiment: the path of the folder with that identity

RUNS = sa.table("runs", sa.column("run_uuid"), sa.column("experiment_id"), sa.column("artifact_uri"))
TAGS = sa.table("tags", sa.column("run_uuid"), sa.column("key"), sa.column("value"))
EXPERIMENTS = sa.table("experiments", sa.column("experiment_id"), sa.column("artifact_location"))
EXPERIMENT_TAGS = sa.table("experiment_tags", sa.column("experiment_id"), sa.column("key"), sa.column("value"))
OUR_EXPERIMENTS = sa.select(EXPERIMENT_TAGS.c.experiment_id).where(EXPERIMENT_TAGS.c.key == FILES)


def prepare_database(uri: str) -> None:
    """Try a database server, or create a new SQLite store under another name and rename it when it is complete.

    MLflow runs 2.5 seconds of migrations to create the tables, and a store that is killed meanwhile never opens again.
    The caller holds the lock of the folder (`src/storage/lock.py`).
    """
    if is_database(uri) and not uri.startswith("sqlite"):  # MLflow would retry one that refuses it for two minutes
        _engine(uri).connect().close()
    file = sqlite_file(uri)
    if file is None or file.exists():
        return
    path = file.resolve()  # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    for partial in path.parent.glob(f"{new.name}*"):  # from a command that was killed
        partial.unlink()
    MlflowClient(tracking_uri=f"sqlite:///{os.path.relpath(new)}").get_experiment_by_name("normlab")
    new.replace(path)
    sync_folder(path.parent)


def lost_identity(uri: str, multirun: Multirun) -> Multirun:
    """Return the folder with its identity from the project's own database, if the identity file is lost."""
    if not (multirun.new and _is_projects_own(uri, multirun)):
        return multirun
    tags = EXPERIMENT_TAGS.c
    of_this_path = tags.key.startswith(PLACE) & (tags.value == str(multirun.path))
    with _engine(uri).begin() as connection:
        key = connection.scalar(sa.select(tags.key).where(of_this_path))
    if key is None:
        return multirun
    notice = f"{multirun.path / FILE} was lost; its identity is restored from the project's database"
    return replace(multirun, id=str(key).removeprefix(PLACE), new=False, notice=notice)


def update_paths(uri: str, multirun: Multirun) -> None:
    """Write the folder's identity and path into all rows of its runs."""
    if _is_projects_own(uri, multirun):
        with _engine(uri).begin() as connection:
            _tag_old_rows(connection, multirun)
            # Only once: later the original may deliver to this database too.
            if not _any(connection, EXPERIMENT_TAGS, EXPERIMENT_TAGS.c.key == f"{PLACE}{multirun.id}"):
                for earlier in multirun.copied_from:  # the database was copied with the folder
                    _replace_identity(connection, earlier, multirun.id)
            # The path in an experiment serves new runs, also those that the user creates.
            ours = EXPERIMENTS.c.experiment_id.in_(OUR_EXPERIMENTS)
            elsewhere = EXPERIMENTS.c.artifact_location != multirun.artifacts
            _update(connection, EXPERIMENTS, ours & elsewhere, artifact_location=multirun.artifacts)
    place_files(uri, multirun)


def place_files(uri: str, multirun: Multirun, run_id: str | None = None) -> None:
    """Make all runs of a folder, or one of them, keep their files in the folder."""
    mine = sa.select(TAGS.c.run_uuid).where(TAGS.c.key == MULTIRUN, TAGS.c.value == multirun.id)
    right = sa.literal(f"{multirun.artifacts}/") + RUNS.c.run_uuid + sa.literal("/artifacts")
    wrong = RUNS.c.experiment_id.in_(OUR_EXPERIMENTS) & RUNS.c.run_uuid.in_(mine) & (RUNS.c.artifact_uri != right)
    if run_id is not None:
        wrong = wrong & (RUNS.c.run_uuid == run_id)
    with _engine(uri).begin() as connection:
        _update(connection, RUNS, wrong, artifact_uri=right)


def _is_projects_own(uri: str, multirun: Multirun) -> bool:
    """Return whether the database lies in the project's folder and was moved or copied with it."""
    file = sqlite_file(uri)
    if file is None or multirun.project.resolve() not in file.resolve().parents:
        return False
    original = Path(multirun.original).parent
    if not multirun.original or multirun.project not in original.parents:
        return True
    # A copy in a folder above the original may share its database.
    return (original / file.resolve().relative_to(multirun.project.resolve())).exists()


def _tag_old_rows(connection: sa.Connection, multirun: Multirun) -> None:
    """Tag the experiments and runs from before these tags existed."""
    ours = EXPERIMENTS.c.artifact_location.like("file:%/multirun/artifacts")
    untagged = sa.select(EXPERIMENTS.c.experiment_id).where(ours, EXPERIMENTS.c.experiment_id.not_in(OUR_EXPERIMENTS))
    rows = [{"experiment_id": number, "key": FILES, "value": "true"} for number in connection.scalars(untagged)]
    if rows:
        connection.execute(sa.insert(EXPERIMENT_TAGS), rows)
    tagged = sa.select(TAGS.c.run_uuid).where(TAGS.c.key == MULTIRUN)
    kinds = sa.select(TAGS.c.run_uuid).where(TAGS.c.key == "kind", TAGS.c.value.in_(["job", "sweep"]))
    old = list(connection.scalars(kinds.where(TAGS.c.run_uuid.not_in(tagged))))
    if old:
        connection.execute(sa.insert(TAGS), [{"run_uuid": run, "key": MULTIRUN, "value": multirun.id} for run in old])


def _replace_identity(connection: sa.Connection, earlier: str, identity: str) -> None:
    """Replace an identity in the tags of runs and experiments."""
    _update(connection, TAGS, (TAGS.c.key == MULTIRUN) & (TAGS.c.value == earlier), value=identity)
    tags = sa.select(EXPERIMENT_TAGS.c.experiment_id, EXPERIMENT_TAGS.c.key)
    for experiment, key in connection.execute(tags.where(EXPERIMENT_TAGS.c.key.contains(earlier))).all():
        of_experiment = EXPERIMENT_TAGS.c.experiment_id == experiment
        renamed = key.replace(earlier, identity)
        if not _any(connection, EXPERIMENT_TAGS, of_experiment & (EXPERIMENT_TAGS.c.key == renamed)):
            _update(connection, EXPERIMENT_TAGS, of_experiment & (EXPERIMENT_TAGS.c.key == key), key=renamed)


def _update(connection: sa.Connection, rows: sa.TableClause, where: sa.ColumnElement[bool], **values: Any) -> None:
    """Update rows. Take no lock if there are none."""
    if _any(connection, rows, where):
        connection.execute(sa.update(rows).where(where).values(values))


def _any(connection: sa.Connection, rows: sa.TableClause, where: sa.ColumnElement[bool]) -> bool:
    return connection.scalar(sa.select(sa.literal(1)).select_from(rows).where(where).limit(1)) is not None


def _engine(uri: str) -> sa.Engine:
    return sa.create_engine(uri, poolclass=sa.NullPool)
