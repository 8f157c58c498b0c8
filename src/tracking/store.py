"""The MLflow store that a sweep is tracked in."""

import contextlib
import getpass
import hashlib
import logging
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType
from mlflow.exceptions import MlflowException

from src.bad_input import BadInput
from src.options import Tracking
from src.runs.multirun import Multirun, identify, save_identity
from src.tracking.address import EXAMPLES, default_uri, is_database, reason, shown, store_uri
from src.tracking.database import (
    ASKED,
    FILES,
    MULTIRUN,
    PLACE,
    bring_along,
    lost_identity,
    make_database,
    place_files,
    try_database,
)
from src.tracking.views import view_link

VARIABLE = '"$MLFLOW_TRACKING_URI"'  # in place of an address that holds a password


@dataclass(frozen=True)
class Store:
    """An open store, the experiment in it, and the folder that its runs come from."""

    client: MlflowClient
    uri: str = field(repr=False)  # may hold a password: show it by `shown`
    experiment_id: str
    multirun: Multirun
    shared: bool  # whether other people's folders deliver to this experiment too
    keeps_files: bool  # whether it has a place of its own for runs' files; else they lie in the folder

    @property
    def command(self) -> str:
        """What shows the store: its address where it is a server, else the command that serves it."""
        if self.uri.startswith("http"):
            return self.uri.rstrip("/")
        if shown(self.uri) != self.uri:
            return f"mlflow ui --backend-store-uri {VARIABLE}"
        return "mlflow ui" if self.uri == default_uri() else f"mlflow ui --backend-store-uri {shlex.quote(self.uri)}"

    def page(self, view: str) -> str:
        """The address of a saved view, on the port that MLflow takes where the store is no server."""
        server = self.uri.rstrip("/") if self.uri.startswith("http") else "http://127.0.0.1:5000"
        return f"{server}/{view_link(self.experiment_id, view)}"

    def find(self, **tags: str) -> list[Run]:
        """The folder's runs that carry all these tags and are not superseded, the newest first."""
        return self._find({MULTIRUN: self.multirun.id, **tags})

    def find_old(self, **tags: str) -> list[Run]:
        """The same of runs that were made before folders had an identity; they may be anybody's."""
        return [run for run in self._find(tags) if MULTIRUN not in run.data.tags]

    def _find(self, tags: Mapping[str, str]) -> list[Run]:
        wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        runs = self.client.search_runs([self.experiment_id], wanted, ViewType.ACTIVE_ONLY)
        return [run for run in runs if "superseded" not in run.data.tags]

    def create_run(self, started: int, tags: Mapping[str, str], name: str) -> str:
        """Make a run of the folder; returns its id."""
        owner = {MULTIRUN: self.multirun.id, "project": self.multirun.name, **_user()}
        run = self.client.create_run(self.experiment_id, started, {**owner, **tags}, run_name=name)
        return str(run.info.run_id)

    def adopt(self, run: Run) -> None:
        """Take a run that was made before folders had an identity for the folder's own."""
        self.client.set_tag(run.info.run_id, MULTIRUN, self.multirun.id)

    def place_files(self, run: Run) -> Run:
        """Let the files of a run of the folder lie in it, where the store has no place of its own for files."""
        run_id = run.info.run_id
        if self.keeps_files or run.info.artifact_uri == f"{self.multirun.artifacts}/{run_id}/artifacts":
            return run
        place_files(self.uri, self.multirun, run_id)
        return self.client.get_run(run_id)


def open_store(settings: Tracking, folder: Path, typed: str = "tracking.experiment") -> Store:
    """Open the store and the experiment, making what is missing.

    Args:
        settings: name the store and the experiment.
        folder: the `multirun` folder that runs come from; it is made where the store can be opened.
        typed: how the user writes another experiment.

    Raises:
        BadInput: where the store cannot be opened or the experiment was deleted.
    """
    uri = store_uri(settings)
    name = settings.experiment or "normlab"
    if settings.experiment == "normlab":
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
    local = is_database(uri)
    try:
        with _quiet():
            try_database(uri)
            make_database(uri)
            client = MlflowClient(tracking_uri=uri)
            client.get_experiment_by_name(name)  # a new database gets its tables
            multirun = _known(uri, identify(folder))
            experiment = _experiment(client, name, multirun, local=local)
            if not experiment.experiment_id:
                raise OSError("its answer names no experiment")
            if experiment.lifecycle_stage == "deleted":
                raise _deleted(experiment, uri, typed)
            if FILES in experiment.tags and not local and experiment.artifact_location != multirun.artifacts:
                raise _of_a_folder(experiment, uri, typed)
            if multirun.new:
                multirun = save_identity(multirun)
                if local:
                    bring_along(uri, multirun)  # what was made before folders had an identity
            shared = _sign(client, experiment, name, multirun, local=local)
    except BadInput:
        raise
    except Exception as error:  # whatever a store, its driver or its server may raise
        raise unusable(error, uri, "cannot be opened", typed) from (error if shown(uri) == uri else None)
    return Store(client, uri, experiment.experiment_id, multirun, shared, not (local and FILES in experiment.tags))


def unusable(error: Exception, uri: str, what: str, typed: str = "tracking.experiment") -> BadInput:
    """The refusal of a store that has raised an error, with the way on; a password is never repeated."""
    status = error.get_http_status_code() if isinstance(error, MlflowException) else None
    missing = (error.name or "") if isinstance(error, ImportError) else ""
    ways = ["tracking=none"] if typed == "tracking.experiment" else []  # a word of the training command
    allowed = EXAMPLES
    if missing:
        ways.insert(0, f"pip install {missing}")
    elif "mlflow db upgrade" in str(error):
        ways.insert(0, f"mlflow db upgrade {shlex.quote(uri) if shown(uri) == uri else VARIABLE}")
    elif status == 401:
        allowed = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, in the environment"
    elif status == 403:
        allowed = "an experiment that you may write to"
        ways.insert(0, f"{typed}=NAME")
    return BadInput(f"the store {shown(uri)} {what}: {reason(error, uri)}", allowed, ", or ".join(ways))


def _known(uri: str, multirun: Multirun) -> Multirun:
    """A folder as a database store knows it, with its runs brought along from where it was."""
    if not is_database(uri):
        return multirun
    multirun = lost_identity(uri, multirun)
    if not multirun.new:
        multirun = save_identity(multirun)  # first: a command that is killed from here on finds what was decided
        bring_along(uri, multirun)
    return multirun


def _experiment(client: MlflowClient, name: str, multirun: Multirun, *, local: bool) -> Experiment:
    """The experiment that the folder has asked for by this name before, whatever it is called now; else that name's.

    Of a `local` store the files lie in the folders of those who use it.
    """
    if not multirun.new:
        asked = f"tags.`{_asked(name, multirun)}` = 'true'"
        found = client.search_experiments(ViewType.ALL, filter_string=asked)
        if found:
            return found[0]
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location, tags = (multirun.artifacts, {FILES: "true"}) if local else (None, {})
        try:
            made = client.create_experiment(name, artifact_location=location, tags=tags)
            return client.get_experiment(made)
        except MlflowException:  # somebody else was faster, perhaps
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return experiment


def _sign(client: MlflowClient, experiment: Experiment, name: str, multirun: Multirun, *, local: bool) -> bool:
    """Note in the experiment that the folder delivers to it; returns whether other folders do too."""
    place = str(multirun.path) if local else multirun.name  # a path tells strangers more than they need
    mine = {f"{PLACE}{multirun.id}": place, _asked(name, multirun): "true"}
    for key, value in mine.items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment.experiment_id, key, value)
    return any(key.startswith(PLACE) and key not in mine for key in experiment.tags)


def _asked(name: str, multirun: Multirun) -> str:
    return f"{ASKED}{multirun.id}.{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _deleted(experiment: Experiment, uri: str, typed: str) -> BadInput:
    restore = f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
    elsewhere = (
        "" if uri in (default_uri(), os.environ.get("MLFLOW_TRACKING_URI")) else f"MLFLOW_TRACKING_URI={shown(uri)} "
    )
    return BadInput(
        f"the experiment {experiment.name} was deleted from {shown(uri)}",
        f"another name ({typed}=NAME), or that one restored",
        elsewhere + restore,
    )


def _of_a_folder(experiment: Experiment, uri: str, typed: str) -> BadInput:
    """The refusal of an experiment whose runs' files lie in a folder, not on the server that shows them."""
    what = f"the experiment {experiment.name} of {shown(uri)} keeps files in {unquote(experiment.artifact_location)}"
    return BadInput(f"{what}, not on the server", "another experiment", f"{typed}=NAME")


def _user() -> dict[str, str]:
    """The user's name as MLflow's page shows it."""
    with contextlib.suppress(Exception):  # a container's user may have no name
        return {"mlflow.user": getpass.getuser()}
    return {}


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
