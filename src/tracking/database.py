"""A database store: made whole or not at all, and corrected where MLflow has no call for it.

MLflow writes the absolute address of a run's files into its database.  When the project is renamed, moved or copied,
the rows are wrong, and `mlflow ui` shows runs without files.  And an experiment has one address for the files of all
its runs, which would put the files of everybody who shares a database into the folder of whoever came first.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mlflow import MlflowClient
from sqlalchemy import Connection, NullPool, Select, column, create_engine, insert, literal, select, table, update

from src.runs.multirun import FILE, Multirun
from src.storage.files import sync_folder
from src.tracking.address import is_database, sqlite_file

MULTIRUN = "multirun"  # tag of a run: the identity of its folder
FILES = "normlab.files"  # tag of an experiment: the files of its runs lie in the folder of their `multirun`
PLACE = "normlab.place."  # and, with an identity behind it, where that folder is
ASKED = "normlab.asked."  # and, with an identity and a digest behind it, that the folder asked for it by a name

RUNS = table("runs", column("run_uuid"), column("experiment_id"), column("artifact_uri"))
TAGS = table("tags", column("run_uuid"), column("key"), column("value"))
EXPERIMENTS = table("experiments", column("experiment_id"), column("artifact_location"))
EXPERIMENT_TAGS = table("experiment_tags", column("experiment_id"), column("key"), column("value"))


def try_database(uri: str) -> None:
    """Connect once: MLflow tries a database that refuses it ten times, for two minutes, and says so each time."""
    if is_database(uri) and not uri.startswith("sqlite"):  # a file is tried with the address
        create_engine(uri, poolclass=NullPool).connect().close()


def make_database(uri: str) -> None:
    """Make a new SQLite store under another name and move it into place.

    MLflow makes the tables in 2.5 seconds of migrations, and a store that was killed in the midst of them never opens
    again.  Whoever calls this holds the folder (`src/storage/lock.py`).
    """
    file = sqlite_file(uri)
    if file is None or file.exists():
        return
    path = file.resolve()  # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    for left in path.parent.glob(f"{new.name}*"):  # by a command that was killed
        left.unlink()
    MlflowClient(tracking_uri=f"sqlite:///{os.path.relpath(new)}").get_experiment_by_name("normlab")
    new.replace(path)
    sync_folder(path.parent)


def lost_identity(uri: str, multirun: Multirun) -> Multirun:
    """Give a folder that has lost its identity file the identity that the project's own database knows it by."""
    if not (multirun.new and _is_projects_own(uri, multirun)):
        return multirun
    wanted = select(EXPERIMENT_TAGS.c.key).where(
        EXPERIMENT_TAGS.c.key.startswith(PLACE), EXPERIMENT_TAGS.c.value == str(multirun.path)
    )
    with _connected(uri) as connection:
        found = [str(key).removeprefix(PLACE) for key in connection.scalars(wanted)]
    if not found:
        return multirun
    notice = f"{multirun.path / FILE} was lost; the project's database knows the folder"
    return replace(multirun, id=found[0], new=False, notice=notice)


def bring_along(uri: str, multirun: Multirun) -> None:
    """Let the rows of a folder's runs name the folder and the place that it has now."""
    with _connected(uri) as connection:
        if _is_projects_own(uri, multirun):
            _sign_old_experiments(connection)
            _adopt_old_runs(connection, multirun)
            signed = select(EXPERIMENT_TAGS.c.key).where(EXPERIMENT_TAGS.c.key == f"{PLACE}{multirun.id}")
            if not _any(connection, signed):  # once: the original may deliver to this database later
                for earlier in multirun.copied_from:  # the database was copied with the folder
                    _rename(connection, earlier, multirun.id)
            _move_experiments(connection, multirun)
        _move_files(connection, multirun)


def place_files(uri: str, multirun: Multirun, run_id: str) -> None:
    """Let the files of one run of a folder lie in that folder."""
    with _connected(uri) as connection:
        _move_files(connection, multirun, run_id)


def _is_projects_own(uri: str, multirun: Multirun) -> bool:
    """Whether the database lies in the project's folder, and so was moved or copied together with it."""
    file = sqlite_file(uri)
    if file is None or multirun.project.resolve() not in file.resolve().parents:
        return False
    original = Path(multirun.original).parent
    if not multirun.original or multirun.project not in original.parents:
        return True
    # A copy into a folder above the original's may share the database with it.
    return (original / file.resolve().relative_to(multirun.project.resolve())).exists()


def _sign_old_experiments(connection: Connection) -> None:
    """Tag the experiments that were made before experiments said where their runs' files are."""
    ours = EXPERIMENTS.c.artifact_location.like("file:%/multirun/artifacts")
    old = select(EXPERIMENTS.c.experiment_id).where(ours, EXPERIMENTS.c.experiment_id.not_in(_of_ours()))
    rows = [{"experiment_id": found, "key": FILES, "value": "true"} for found in connection.scalars(old)]
    if rows:
        connection.execute(insert(EXPERIMENT_TAGS), rows)


def _adopt_old_runs(connection: Connection, multirun: Multirun) -> None:
    """Tag the runs that were made before folders had an identity."""
    tagged = select(TAGS.c.run_uuid).where(TAGS.c.key == MULTIRUN)
    ours = select(TAGS.c.run_uuid).where(TAGS.c.key == "kind", TAGS.c.value.in_(["job", "sweep"]))
    found = list(connection.scalars(ours.where(TAGS.c.run_uuid.not_in(tagged))))
    rows = [{"run_uuid": run, "key": MULTIRUN, "value": multirun.id} for run in found]
    if rows:
        connection.execute(insert(TAGS), rows)


def _rename(connection: Connection, earlier: str, identity: str) -> None:
    """Replace an identity by another one, in the tags of runs and of experiments."""
    mine = (TAGS.c.key == MULTIRUN) & (TAGS.c.value == earlier)
    if _any(connection, select(TAGS.c.run_uuid).where(mine)):
        connection.execute(update(TAGS).where(mine).values(value=identity))
    of_experiments = select(EXPERIMENT_TAGS.c.experiment_id, EXPERIMENT_TAGS.c.key)
    for experiment, key in connection.execute(of_experiments.where(EXPERIMENT_TAGS.c.key.contains(earlier))).all():
        this = (EXPERIMENT_TAGS.c.experiment_id == experiment) & (EXPERIMENT_TAGS.c.key == key)
        renamed = key.replace(earlier, identity)
        there = (EXPERIMENT_TAGS.c.experiment_id == experiment) & (EXPERIMENT_TAGS.c.key == renamed)
        if not _any(connection, select(EXPERIMENT_TAGS.c.key).where(there)):
            connection.execute(update(EXPERIMENT_TAGS).where(this).values(key=renamed))


def _of_ours() -> Select[tuple[int]]:
    return select(EXPERIMENT_TAGS.c.experiment_id).where(EXPERIMENT_TAGS.c.key == FILES)


def _move_experiments(connection: Connection, multirun: Multirun) -> None:
    """Where MLflow puts the files of new runs, also of the user's own."""
    wrong = EXPERIMENTS.c.experiment_id.in_(_of_ours()) & (EXPERIMENTS.c.artifact_location != multirun.artifacts)
    if _any(connection, select(EXPERIMENTS.c.experiment_id).where(wrong)):
        connection.execute(update(EXPERIMENTS).where(wrong).values(artifact_location=multirun.artifacts))


def _move_files(connection: Connection, multirun: Multirun, run_id: str | None = None) -> None:
    mine = select(TAGS.c.run_uuid).where(TAGS.c.key == MULTIRUN, TAGS.c.value == multirun.id)
    right = literal(f"{multirun.artifacts}/") + RUNS.c.run_uuid + literal("/artifacts")
    wrong = RUNS.c.experiment_id.in_(_of_ours()) & RUNS.c.run_uuid.in_(mine) & (RUNS.c.artifact_uri != right)
    if run_id is not None:
        wrong = wrong & (RUNS.c.run_uuid == run_id)
    if _any(connection, select(RUNS.c.run_uuid).where(wrong)):
        connection.execute(update(RUNS).where(wrong).values(artifact_uri=right))


def _any(connection: Connection, rows: Select[tuple[str]] | Select[tuple[int]]) -> bool:
    """Whether there is such a row; to write only then takes no lock for nothing."""
    return connection.execute(rows.limit(1)).first() is not None


@contextmanager
def _connected(uri: str) -> Iterator[Connection]:
    """A transaction; its connection is closed with it."""
    with create_engine(uri, poolclass=NullPool).begin() as connection:
        yield connection
