"""Opens the MLflow store that tracks a sweep."""

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

from src.bad_input import BadInput, masked
from src.options import Tracking
from src.runs.multirun import Multirun, identify, save_identity
from src.tracking.address import EXAMPLES, default_uri, is_database, reason, store_uri
from src.tracking.database import FILES, MULTIRUN, PLACE, lost_identity, place_files, prepare_database, update_paths

VARIABLE = '"$MLFLOW_TRACKING_URI"'  # replaces an address that holds a password


@dataclass(frozen=True)
class Store:
    """An open store, the experiment in it, and the folder that delivers to it."""

    client: MlflowClient
    uri: str = field(repr=False)  # may hold a password: print it with `masked`
    experiment_id: str
    multirun: Multirun
    shared: bool  # other folders deliver to this experiment too
    keeps_files: bool  # the store has its own place for files; otherwise they lie in the folder

    @property
    def command(self) -> str:
        """A server's address, or the command that shows a database."""
        if self.uri.startswith("http"):
            return self.uri.rstrip("/")
        if masked(self.uri) != self.uri:
            return f"mlflow ui --backend-store-uri {VARIABLE}"
        return "mlflow ui" if self.uri == default_uri() else f"mlflow ui --backend-store-uri {shlex.quote(self.uri)}"

    def find(self, **tags: str) -> list[Run]:
        """Return the folder's runs with all these tags, newest first, without superseded ones."""
        return self._find({MULTIRUN: self.multirun.id, **tags})

    def find_old(self, **tags: str) -> list[Run]:
        """Return such runs from before folders had an identity; they may belong to any folder."""
        return [run for run in self._find(tags) if MULTIRUN not in run.data.tags]

    def adopt(self, runs: Iterable[Run]) -> list[Run]:
        """Tag runs from before folders had an identity as this folder's own, and return them."""
        adopted = list(runs)
        for run in adopted:
            self.client.set_tag(run.info.run_id, MULTIRUN, self.multirun.id)
        return adopted

    def _find(self, tags: Mapping[str, str]) -> list[Run]:
        query = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        runs = self.client.search_runs([self.experiment_id], query, ViewType.ACTIVE_ONLY)
        return [run for run in runs if "superseded" not in run.data.tags]

    def create_run(self, started: int, tags: Mapping[str, str], name: str) -> str:
        """Create a run of the folder and return its id; `started` is in milliseconds since 1970."""
        owner = {MULTIRUN: self.multirun.id, "project": self.multirun.name}
        with contextlib.suppress(Exception):  # a container's user may have no name
            owner["mlflow.user"] = getpass.getuser()
        run = self.client.create_run(self.experiment_id, started, {**owner, **tags}, run_name=name)
        return str(run.info.run_id)

    def place_files(self, run: Run) -> Run:
        """Make a run keep its files in the folder, unless the store has its own place for files."""
        run_id = run.info.run_id
        if self.keeps_files or run.info.artifact_uri == f"{self.multirun.artifacts}/{run_id}/artifacts":
            return run
        place_files(self.uri, self.multirun, run_id)
        return self.client.get_run(run_id)


def open_store(settings: Tracking, folder: Path, typed: str = "tracking.experiment") -> Store:
    """Open the store and the experiment, and create them if they are missing.

    `folder` is the `multirun` folder that delivers; it is created once the store is open. `typed` is the option for
    another experiment. Raises BadInput if the store cannot be opened or the experiment was deleted.
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
        multirun = identify(folder)
        if local:
            multirun = lost_identity(uri, multirun)
            if not multirun.new:
                multirun = save_identity(multirun)  # first, so the next command repeats the update after a kill
                update_paths(uri, multirun)
        experiment = _experiment(client, name, multirun, local=local)
        _check_experiment(experiment, multirun, uri, typed, local=local)
        if multirun.new:
            multirun = save_identity(multirun)
            if local:
                update_paths(uri, multirun)  # of runs from before folders had an identity
        shared = _register(client, experiment, name, multirun, local=local)
    except BadInput:
        raise
    except Exception as error:  # a store, its driver or its server may raise anything
        refuse_store(error, uri, "cannot be opened", typed)
    return Store(client, uri, experiment.experiment_id, multirun, shared, not (local and FILES in experiment.tags))


def refuse_store(error: Exception, uri: str, what: str, typed: str) -> NoReturn:
    """Refuse a store that raised an error, without its password. `typed` is the option for another experiment."""
    status = error.get_http_status_code() if isinstance(error, MlflowException) else None
    package = (error.name or "") if isinstance(error, ImportError) else ""
    write = ["tracking=none"] if typed == "tracking.experiment" else []  # only the training command has it
    allowed = EXAMPLES
    if package:
        write.insert(0, f"pip install {package}")
    elif "mlflow db upgrade" in str(error):
        write.insert(0, f"mlflow db upgrade {shlex.quote(uri) if masked(uri) == uri else VARIABLE}")
    elif status == 401:
        allowed = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, in the environment"
    elif status == 403:
        allowed = "an experiment that you may write to"
        write.insert(0, f"{typed}=NAME")
    cause = error if masked(uri) == uri else None  # its traceback would show the password
    raise BadInput(f"the store {masked(uri)} {what}: {reason(error, uri)}", allowed, ", or ".join(write)) from cause


def _experiment(client: MlflowClient, name: str, multirun: Multirun, *, local: bool) -> Experiment:
    """Return the experiment that the folder once requested by this name; else find or create one of this name.

    The runs of a `local` store keep their files in the folders of its users.
    """
    requested = f"tags.`{_request_tag(name, multirun)}` = 'true'"
    if experiments := client.search_experiments(ViewType.ALL, filter_string=requested):
        return experiments[0]
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location, tags = (multirun.artifacts, {FILES: "true"}) if local else (None, {})
        try:
            return client.get_experiment(client.create_experiment(name, artifact_location=location, tags=tags))
        except MlflowException:  # perhaps another command created it first
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return experiment


def _check_experiment(experiment: Experiment, multirun: Multirun, uri: str, typed: str, *, local: bool) -> None:
    """Refuse an experiment that was deleted, or that keeps its files in a folder behind a server."""
    if not experiment.experiment_id:
        raise OSError("its answer names no experiment")
    if experiment.lifecycle_stage == "deleted":
        is_default = uri in (default_uri(), os.environ.get("MLFLOW_TRACKING_URI"))
        restore = f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
        raise BadInput(
            f"the experiment {experiment.name} was deleted from {masked(uri)}",
            f"another name ({typed}=NAME), or restore it",
            restore if is_default else f"MLFLOW_TRACKING_URI={masked(uri)} {restore}",
        )
    if FILES in experiment.tags and not local and experiment.artifact_location != multirun.artifacts:
        folder = unquote(experiment.artifact_location)
        what = f"the experiment {experiment.name} of {masked(uri)} keeps its files in {folder}, not on the server"
        raise BadInput(what, "another experiment", f"{typed}=NAME")


def _register(client: MlflowClient, experiment: Experiment, name: str, multirun: Multirun, *, local: bool) -> bool:
    """Tag the experiment with the folder that delivers to it. Return whether other folders deliver too."""
    place = str(multirun.path) if local else multirun.name  # a server's other users need not see the path
    mine = {f"{PLACE}{multirun.id}": place, _request_tag(name, multirun): "true"}
    for key, value in mine.items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment.experiment_id, key, value)
    return any(key.startswith(PLACE) and key not in mine for key in experiment.tags)


def _request_tag(name: str, multirun: Multirun) -> str:
    """Return the tag of an experiment that the folder requested by this name."""
    return f"normlab.asked.{multirun.id}.{hashlib.sha256(name.encode()).hexdigest()[:8]}"
