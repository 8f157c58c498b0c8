"""The MLflow store that a sweep is tracked in."""

import os
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from src.bad_input import BadInput
from src.config import Tracking
from src.tracking.address import default_uri, store_uri
from src.tracking.views import view_link


@dataclass(frozen=True)
class Store:
    """An open store and the experiment in it."""

    client: MlflowClient
    uri: str
    experiment_id: str

    def page(self, view: str) -> str:
        """How to see a saved view: its address, and before it the command that serves a store that is no server."""
        if self.uri.startswith("http"):
            return f"{self.uri.rstrip('/')}/{view_link(self.experiment_id, view)}"
        command = "mlflow ui" if self.uri == default_uri() else f"mlflow ui --backend-store-uri {self.uri}"
        return f"{command}, then http://127.0.0.1:5000/{view_link(self.experiment_id, view)}"

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
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(name)
    except (MlflowException, SQLAlchemyError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(
            f"the store {uri} cannot be opened: {reason}", "sqlite:///FILE, http://HOST:PORT", "tracking=none"
        ) from error
    if experiment is None:
        location = None if uri.startswith("http") else artifacts.absolute().as_uri()
        return Store(client, uri, client.create_experiment(name, artifact_location=location))
    if experiment.lifecycle_stage == "deleted":
        raise BadInput(
            f"the experiment {name} was deleted from {uri}",
            "another name, or that one restored",
            f"mlflow experiments restore --experiment-id {experiment.experiment_id}",
        )
    return Store(client, uri, experiment.experiment_id)
