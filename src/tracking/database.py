"""Creates database stores, and corrects paths in them: MLflow has no call for that.

MLflow writes the absolute path of a run's files into its database. After the project is renamed, moved or copied,
these paths are wrong, and `mlflow ui` shows runs without files. An experiment also has one path for the files of all
its runs: without a correction, all users of a database would write into the folder of the first one.
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
FILES = "normlab.files"  # tag of an experiment: each run keeps its files in the folder that its `multirun` names
PLACE = "normlab.place."  # the same, followed by an identity: the path of that folder
REQUESTED = "normlab.asked."  # the same, followed by an identity and a digest: the folder requested it by that name

RUNS = table("runs", column("run_uuid"), column("experiment_id"), column("artifact_uri"))
TAGS = table("tags", column("run_uuid"), column("key"), column("value"))
EXPERIMENTS = table("experiments", column("experiment_id"), column("artifact_location"))
EXPERIMENT_TAGS = table("experiment_tags", column("experiment_id"), column("key"), column("value"))
OUR_EXPERIMENTS = select(EXPERIMENT_TAGS.c.experiment_id).where(EXPERIMENT_TAGS.c.key == FILES)


def try_database(uri: str) -> None:
    """Connect once. MLflow would retry a database that refuses it ten times, for two minutes."""
    if is_database(uri) and not uri.startswith("sqlite"):  # `check_address` tries a file
        create_engine(uri, poolclass=NullPool).connect().close()


def make_database(uri: str) -> None:
    """Create a new SQLite store under another name and rename it when it is complete.

    MLflow runs 2.5 seconds of migrations to create the tables, and a store that is killed meanwhile never opens again.
    The caller holds the lock of the folder (`src/storage/lock.py`).
    """
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
    """The folder with the identity that the project's own database holds, if its identity file is lost."""
    if not (multirun.new and _is_projects_own(uri, multirun)):
        return multirun
    of_this_path = select(EXPERIMENT_TAGS.c.key).where(
        EXPERIMENT_TAGS.c.key.startswith(PLACE), EXPERIMENT_TAGS.c.value == str(multirun.path)
    )
    with _connected(uri) as connection:
        keys = list(connection.scalars(of_this_path))
    if not keys:
        return multirun
    notice = f"{multirun.path / FILE} was lost; its identity is restored from the project's database"
    return replace(multirun, id=str(keys[0]).removeprefix(PLACE), new=False, notice=notice)


def update_paths(uri: str, multirun: Multirun) -> None:
    """Set the identity and the path of a folder in all rows of its runs."""
    with _connected(uri) as connection:
        if _is_projects_own(uri, multirun):
            _tag_old_rows(connection, multirun)
            signed = select(EXPERIMENT_TAGS.c.key).where(EXPERIMENT_TAGS.c.key == f"{PLACE}{multirun.id}")
            if not _any(connection, signed):  # only once: later the original may deliver to this database too
                for earlier in multirun.copied_from:  # the database was copied with the folder
                    _replace_identity(connection, earlier, multirun.id)
            _move_experiments(connection, multirun)
        _move_files(connection, multirun)


def place_files(uri: str, multirun: Multirun, run_id: str) -> None:
    """Make one run of a folder keep its files in that folder."""
    with _connected(uri) as connection:
        _move_files(connection, multirun, run_id)


def _is_projects_own(uri: str, multirun: Multirun) -> bool:
    """Whether the database lies in the project's folder and was moved or copied with it."""
    file = sqlite_file(uri)
    if file is None or multirun.project.resolve() not in file.resolve().parents:
        return False
    original = Path(multirun.original).parent
    if not multirun.original or multirun.project not in original.parents:
        return True
    # A copy in a folder above the original may share its database.
    return (original / file.resolve().relative_to(multirun.project.resolve())).exists()


def _tag_old_rows(connection: Connection, multirun: Multirun) -> None:
    """Tag the experiments and runs from before these tags existed."""
    ours = EXPERIMENTS.c.artifact_location.like("file:%/multirun/artifacts")
    untagged = select(EXPERIMENTS.c.experiment_id).where(ours, EXPERIMENTS.c.experiment_id.not_in(OUR_EXPERIMENTS))
    rows = [{"experiment_id": found, "key": FILES, "value": "true"} for found in connection.scalars(untagged)]
    if rows:
        connection.execute(insert(EXPERIMENT_TAGS), rows)
    tagged = select(TAGS.c.run_uuid).where(TAGS.c.key == MULTIRUN)
    kinds = select(TAGS.c.run_uuid).where(TAGS.c.key == "kind", TAGS.c.value.in_(["job", "sweep"]))
    old = list(connection.scalars(kinds.where(TAGS.c.run_uuid.not_in(tagged))))
    if old:
        connection.execute(insert(TAGS), [{"run_uuid": run, "key": MULTIRUN, "value": multirun.id} for run in old])


def _replace_identity(connection: Connection, earlier: str, identity: str) -> None:
    """Replace an identity in the tags of runs and experiments."""
    mine = (TAGS.c.key == MULTIRUN) & (TAGS.c.value == earlier)
    if _any(connection, select(TAGS.c.run_uuid).where(mine)):
        connection.execute(update(TAGS).where(mine).values(value=identity))
    tags = select(EXPERIMENT_TAGS.c.experiment_id, EXPERIMENT_TAGS.c.key)
    for experiment, key in connection.execute(tags.where(EXPERIMENT_TAGS.c.key.contains(earlier))).all():
        of_experiment = EXPERIMENT_TAGS.c.experiment_id == experiment
        renamed = key.replace(earlier, identity)
        if not _any(connection, select(EXPERIMENT_TAGS.c.key).where(of_experiment, EXPERIMENT_TAGS.c.key == renamed)):
            this = update(EXPERIMENT_TAGS).where(of_experiment, EXPERIMENT_TAGS.c.key == key)
            connection.execute(this.values(key=renamed))


def _move_experiments(connection: Connection, multirun: Multirun) -> None:
    """Set the path of new runs' files in the experiments, which also serves runs that the user creates."""
    wrong = EXPERIMENTS.c.experiment_id.in_(OUR_EXPERIMENTS) & (EXPERIMENTS.c.artifact_location != multirun.artifacts)
    if _any(connection, select(EXPERIMENTS.c.experiment_id).where(wrong)):
        connection.execute(update(EXPERIMENTS).where(wrong).values(artifact_location=multirun.artifacts))


def _move_files(connection: Connection, multirun: Multirun, run_id: str | None = None) -> None:
    """Set the path of the files of the folder's runs, or of one run."""
    mine = select(TAGS.c.run_uuid).where(TAGS.c.key == MULTIRUN, TAGS.c.value == multirun.id)
    right = literal(f"{multirun.artifacts}/") + RUNS.c.run_uuid + literal("/artifacts")
    wrong = RUNS.c.experiment_id.in_(OUR_EXPERIMENTS) & RUNS.c.run_uuid.in_(mine) & (RUNS.c.artifact_uri != right)
    if run_id is not None:
        wrong = wrong & (RUNS.c.run_uuid == run_id)
    if _any(connection, select(RUNS.c.run_uuid).where(wrong)):
        connection.execute(update(RUNS).where(wrong).values(artifact_uri=right))


def _any(connection: Connection, rows: Select[tuple[str]] | Select[tuple[int]]) -> bool:
    """Whether a row exists. Writing only then avoids needless locks."""
    return connection.execute(rows.limit(1)).first() is not None


@contextmanager
def _connected(uri: str) -> Iterator[Connection]:
    """A transaction on a connection that is closed after it."""
    with create_engine(uri, poolclass=NullPool).begin() as connection:
        yield connection
