"""Opens the MLflow store of a sweep, and finds and creates runs in it."""

import contextlib
import getpass
import hashlib
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType
from mlflow.exceptions import MlflowException

from src.bad_input import BadInput, redact
from src.options import Tracking
from src.runs.multirun import Multirun, identify_folder, save_identity
from src.tracking.address import EXAMPLES, default_uri, error_reason, is_database, store_uri
from src.tracking.database import FILES_TAG, ID_TAG, PLACE_TAG, place_files, prepare_database, restore_id, update_paths

URI_VARIABLE = '"$MLFLOW_TRACKING_URI"'  # messages show it instead of an address that holds a password


@dataclass(frozen=True)
class Store:
    """An open store, its experiment, and the `multirun` folder that delivers to the experiment."""

    client: MlflowClient
    uri: str = field(repr=False)  # may hold a password, so print only `redact(uri)`
    experiment_id: str
    multirun: Multirun
    is_shared: bool  # whether other folders deliver to this experiment too
    keeps_files: bool  # whether the store keeps the runs' files itself; otherwise they stay in the folder

    @property
    def address_or_command(self) -> str:
        """The address of the store's server, or the command that shows the store's database."""
        if self.uri.startswith("http"):
            return self.uri.rstrip("/")
        if redact(self.uri) != self.uri:
            return f"mlflow ui --backend-store-uri {URI_VARIABLE}"
        return "mlflow ui" if self.uri == default_uri() else f"mlflow ui --backend-store-uri {shlex.quote(self.uri)}"

    def find_runs(self, **tags: str) -> list[Run]:
        """Return the folder's runs that have all these tags and are not superseded, newest first."""
        return self._search_runs({ID_TAG: self.multirun.id, **tags})

    def find_old_runs(self, **tags: str) -> list[Run]:
        """Find runs with these tags that have no folder id, because an older version created them."""
        return [run for run in self._search_runs(tags) if ID_TAG not in run.data.tags]

    def adopt(self, runs: Iterable[Run]) -> list[Run]:
        """Tag runs without a folder id with the id of this folder, and return them."""
        adopted_runs = list(runs)
        for run in adopted_runs:
            self.client.set_tag(run.info.run_id, ID_TAG, self.multirun.id)
        return adopted_runs

    def _search_runs(self, tags: Mapping[str, str]) -> list[Run]:
        query = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        runs = self.client.search_runs([self.experiment_id], query, ViewType.ACTIVE_ONLY)
        return [run for run in runs if "superseded" not in run.data.tags]

    def create_run(self, started: int, tags: Mapping[str, str], name: str) -> str:
        """Create a run of this folder and return the run's id; `started` is in milliseconds since 1970."""
        owner_tags = {ID_TAG: self.multirun.id, "project": self.multirun.name}
        with contextlib.suppress(Exception):  # the user of a container may have no name
            owner_tags["mlflow.user"] = getpass.getuser()
        run = self.client.create_run(self.experiment_id, started, {**owner_tags, **tags}, run_name=name)
        return str(run.info.run_id)

    def place_files(self, run: Run) -> Run:
        """Make a run keep its files in this folder, unless the store keeps files itself; return the updated run."""
        run_id = run.info.run_id
        if self.keeps_files or run.info.artifact_uri == f"{self.multirun.artifacts}/{run_id}/artifacts":
            return run
        place_files(self.uri, self.multirun, run_id)
        return self.client.get_run(run_id)


def open_store(settings: Tracking, folder: Path, option: str = "tracking.experiment") -> Store:
    """Open the store and the experiment, and create both if they are missing.

    Creates the `multirun` folder `folder` once the store is open. `option` is the option that names an experiment.
    Raises BadInput if the store cannot be opened or the experiment was deleted.
    """
    uri = store_uri(settings)
    name = settings.experiment or "normlab"
    if settings.experiment == "normlab":
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
    local = is_database(uri)
    try:
        prepare_database(uri)
        client = MlflowClient(tracking_uri=uri)
        client.get_experiment_by_name(name)  # creates the tables of a new database
        multirun = identify_folder(folder)
        if local:
            multirun = restore_id(uri, multirun)
            if not multirun.new:
                multirun = save_identity(multirun)  # saved first, so the next command repeats a killed update
                update_paths(uri, multirun)
        experiment = _find_or_create_experiment(client, name, multirun, local=local)
        _check_experiment(experiment, multirun, uri, option, local=local)
        if multirun.new:
            multirun = save_identity(multirun)
            if local:
                update_paths(uri, multirun)  # also gives the folder's id to runs without one
        shared = _register(client, experiment, name, multirun, local=local)
    except BadInput:
        raise
    except Exception as error:  # a store, its driver or its server may raise any error
        refuse_store(error, uri, "cannot be opened", option)
    return Store(client, uri, experiment.experiment_id, multirun, shared, not (local and FILES_TAG in experiment.tags))


def refuse_store(error: Exception, uri: str, problem: str, option: str) -> NoReturn:
    """Raise BadInput for an error of a store, without its password; `option` is the option that names an experiment."""
    status = error.get_http_status_code() if isinstance(error, MlflowException) else None
    package = (error.name or "") if isinstance(error, ImportError) else ""
    fixes = ["tracking=none"] if option == "tracking.experiment" else []  # src.sync has no key `tracking`
    allowed = EXAMPLES
    if package:
        fixes.insert(0, f"pip install {package}")
    elif "mlflow db upgrade" in str(error):
        fixes.insert(0, f"mlflow db upgrade {shlex.quote(uri) if redact(uri) == uri else URI_VARIABLE}")
    elif status == 401:
        allowed = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, in the environment"
    elif status == 403:
        allowed = "an experiment that you may write to"
        fixes.insert(0, f"{option}=NAME")
    cause = error if redact(uri) == uri else None  # the error's traceback would show the password
    problem = f"the store {redact(uri)} {problem}: {error_reason(error, uri)}"
    raise BadInput(problem, allowed, ", or ".join(fixes)) from cause


def _find_or_create_experiment(client: MlflowClient, name: str, multirun: Multirun, *, local: bool) -> Experiment:
    """Return the experiment that this folder once requested by this name, else the one with this name, else a new one.

    If the store is `local`, a database, a new experiment keeps its runs' files in the users' folders.
    """
    requested = f"tags.`{_request_tag(name, multirun)}` = 'true'"
    if experiments := client.search_experiments(ViewType.ALL, filter_string=requested):
        return experiments[0]
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location, tags = (multirun.artifacts, {FILES_TAG: "true"}) if local else (None, {})
        try:
            return client.get_experiment(client.create_experiment(name, artifact_location=location, tags=tags))
        except MlflowException:  # another command may have created it first
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return experiment


def _check_experiment(experiment: Experiment, multirun: Multirun, uri: str, option: str, *, local: bool) -> None:
    """Raise BadInput if an experiment was deleted, or if a server's experiment keeps its files in a user's folder."""
    if not experiment.experiment_id:
        raise OSError("the server's answer names no experiment")
    if experiment.lifecycle_stage == "deleted":
        is_default = uri in (default_uri(), os.environ.get("MLFLOW_TRACKING_URI"))
        restore = f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
        raise BadInput(
            f"the experiment {experiment.name} was deleted from {redact(uri)}",
            f"another name ({option}=NAME), or a restored experiment",
            restore if is_default else f"MLFLOW_TRACKING_URI={redact(uri)} {restore}",
        )
    if FILES_TAG in experiment.tags and not local and experiment.artifact_location != multirun.artifacts:
        folder = unquote(experiment.artifact_location)
        problem = f"the experiment {experiment.name} of {redact(uri)} keeps its files in {folder}, not on the server"
        raise BadInput(problem, "another experiment", f"{option}=NAME")


def _register(client: MlflowClient, experiment: Experiment, name: str, multirun: Multirun, *, local: bool) -> bool:
    """Tag an experiment with the folder that delivers to it; return whether other folders deliver to it too."""
    path_or_name = str(multirun.path) if local else multirun.name  # other users of a server need not see the path
    folder_tags = {f"{PLACE_TAG}{multirun.id}": path_or_name, _request_tag(name, multirun): "true"}
    for key, value in folder_tags.items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment.experiment_id, key, value)
    return any(key.startswith(PLACE_TAG) and key not in folder_tags for key in experiment.tags)


def _request_tag(name: str, multirun: Multirun) -> str:
    """Return the tag that marks an experiment as the one that this folder requested by this name."""
    return f"normlab.asked.{multirun.id}.{hashlib.sha256(name.encode()).hexdigest()[:8]}"
