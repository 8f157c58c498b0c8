"""The MLflow store that a sweep is tracked in."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from sqlalchemy import NullPool, create_engine

from src.bad_input import BadInput
from src.config import Tracking
from src.runs.files import sync_folder
from src.tracking.address import DATABASES, EXAMPLES, default_uri, reason, shown, store_uri
from src.tracking.views import view_link


@dataclass(frozen=True)
class Store:
    """An open store and the experiment in it."""

    client: MlflowClient
    uri: str = field(repr=False)  # may hold a password: show it by `shown`
    experiment_id: str

    @property
    def command(self) -> str:
        """What shows the store: its address where it is a server, else the command that serves it."""
        if self.uri.startswith("http"):
            return self.uri.rstrip("/")
        if shown(self.uri) != self.uri:
            return 'mlflow ui --backend-store-uri "$MLFLOW_TRACKING_URI"'
        return "mlflow ui" if self.uri == default_uri() else f"mlflow ui --backend-store-uri {self.uri}"

    def page(self, view: str) -> str:
        """The address of a saved view, on the port that MLflow takes where the store is no server."""
        server = self.uri.rstrip("/") if self.uri.startswith("http") else "http://127.0.0.1:5000"
        return f"{server}/{view_link(self.experiment_id, view)}"

    def find(self, **tags: str) -> list[Run]:
        """The runs that carry all these tags and are not superseded, the newest first."""
        wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        runs = self.client.search_runs([self.experiment_id], wanted, ViewType.ACTIVE_ONLY)
        return [run for run in runs if "superseded" not in run.data.tags]


def open_store(settings: Tracking, artifacts: Path) -> Store:
    """Open the store and the experiment, making what is missing.

    `artifacts` is where a local store's files go.

    Raises:
        BadInput: where the store cannot be opened or the experiment was deleted.
    """
    uri = store_uri(settings)
    name = settings.experiment or "normlab"
    if settings.experiment == "normlab":
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
    try:
        with _quiet():
            _try_database(uri)
            _make_database(uri)
            client = MlflowClient(tracking_uri=uri)
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                location = None if uri.startswith("http") else artifacts.absolute().as_uri()
                return Store(client, uri, client.create_experiment(name, artifact_location=location))
    except Exception as error:  # whatever a store, its driver or its server may raise
        missing = error.name if isinstance(error, ImportError) else ""
        old = "mlflow db upgrade" in str(error)
        first = f"pip install {missing}, or " if missing else f"mlflow db upgrade {shown(uri)}, or " if old else ""
        raise BadInput(
            f"the store {shown(uri)} cannot be opened: {reason(error, uri)}",
            EXAMPLES,
            f"{first}tracking=none",
        ) from (error if shown(uri) == uri else None)  # a traceback would repeat the password
    if experiment.lifecycle_stage == "deleted":
        raise BadInput(
            f"the experiment {name} was deleted from {shown(uri)}",
            "another name, or that one restored",
            f"mlflow experiments restore --experiment-id {experiment.experiment_id}",
        )
    return Store(client, uri, experiment.experiment_id)


def _try_database(uri: str) -> None:
    """Connect once: MLflow tries a database that refuses it ten times, for two minutes, and says so each time."""
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme in DATABASES and scheme != "sqlite":  # a file is tried with the address
        create_engine(uri, poolclass=NullPool).connect().close()


def _make_database(uri: str) -> None:
    """Make a new SQLite store under another name and move it into place.

    MLflow makes the tables in 2.5 seconds of migrations, and a store that was killed in the midst of them never opens
    again.  Whoever calls this holds the folder (`src/runs/lock.py`).
    """
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    if not uri.startswith("sqlite:///") or "uri=" in uri or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    for left in path.parent.glob(f"{new.name}*"):  # by a command that was killed
        left.unlink()
    MlflowClient(tracking_uri=f"sqlite:///{new}").get_experiment_by_name("normlab")
    new.replace(path)
    sync_folder(path.parent)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What MLflow logs before it raises an error would be told twice, and with more than the error's first line."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
