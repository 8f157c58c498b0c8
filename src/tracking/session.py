"""A sweep as MLflow sees it: one parent run, one thread that delivers the jobs' folders while they grow."""

import logging
import threading
from pathlib import Path

from mlflow.exceptions import MlflowException
from rich.console import Console

from src.config import Tracking
from src.runs.folder import JobFolder, Sweep
from src.tracking import views
from src.tracking.delivery import Delivery
from src.tracking.store import open_store

log = logging.getLogger(__name__)

PERIOD = 1.0  # seconds between two looks at the folders
STATUS = {0: "FINISHED", 1: "FAILED"}


class Tracker:
    """Delivers a sweep until it is closed.  Training never waits for it."""

    def __init__(self, settings: Tracking, sweep: Sweep, multirun: Path, console: Console) -> None:
        self._store = open_store(settings, multirun / "artifacts")
        self._sweep, self._multirun, self._console = sweep, multirun, console
        self._parent = self._open_parent()
        self._jobs = [
            Delivery(
                self._store,
                sweep.id,
                self._parent,
                job,
                JobFolder(multirun / "jobs" / job.folder),
                settings.system_metrics,
            )
            for job in sweep.jobs
        ]
        self._publish_views()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="delivery", daemon=True)
        self._thread.start()

    def _open_parent(self) -> str:
        """The sweep's run: the same sweep again reopens it."""
        client, sweep = self._store.client, self._sweep
        tags = {"kind": "sweep", "sweep_id": sweep.id, "command": sweep.command}
        found = self._store.find(kind="sweep", sweep_id=sweep.id)
        if found:
            run_id: str = found[0].info.run_id
            client.update_run(run_id, status="RUNNING")
            client.set_tag(run_id, "command", sweep.command)
        else:
            made = client.create_run(self._store.experiment_id, sweep.started, tags, run_name=sweep.title)
            run_id = made.info.run_id
        again = f"{len(sweep.jobs)} jobs, varying {', '.join(sweep.varies) or 'nothing'}.\n\n    {sweep.command}"
        client.set_tag(run_id, "mlflow.note.content", again)
        return run_id

    def _publish_views(self) -> None:
        """Save the sweep's view and link it from the experiment's note; the page works without, if poorly."""
        store, sweep = self._store, self._sweep
        seeds = {job.params.get("seed") for job in sweep.jobs}
        strengths = {job.params.get(name, "0") for job in sweep.jobs for name in ("reg.l1", "reg.l2")}
        made = views.sweep_views(
            sweep.id,
            sweep.title,
            sweep.varies,
            sweep.started,
            seeds=len(seeds),
            penalty=strengths != {"0"},
            images=len(sweep.jobs),
        )
        try:
            for name, value in made.items():
                store.client.set_experiment_tag(store.experiment_id, name, value)
            tags = store.client.get_experiment(store.experiment_id).tags
            for name in views.surplus_views(tags):
                store.client.delete_experiment_tag(store.experiment_id, name)
            text = views.note(store.experiment_id, tags)
            store.client.set_experiment_tag(store.experiment_id, "mlflow.note.content", text)
        except MlflowException as error:
            self._console.print(f"MLflow's page shows its plain view: {error}", highlight=False, markup=False)

    def _work(self) -> None:
        while not self._closing.wait(PERIOD):
            for job in self._jobs:
                try:
                    job.advance()
                except Exception:  # whatever a store may raise: tried again a second later, and told by `close`
                    log.debug("delivery will be tried again", exc_info=True)

    def close(self, status: int, failed: int) -> int:
        """Deliver the rest, give the sweep's run its true status, and say what could not be delivered.

        Args:
            status: the exit status so far.
            failed: how many jobs have no result.

        Returns:
            How many jobs are not delivered whole.
        """
        self._closing.set()
        self._thread.join()
        undelivered = 0
        for job in self._jobs:
            try:
                job.close()
            except Exception as error:  # as above; this is the last try, so the reason is shown
                undelivered += 1
                self._console.print(f"not delivered to MLflow: {job.label}: {error}", highlight=False, markup=False)
        try:
            self._close_parent(status, failed)
        except Exception as error:
            undelivered += 1
            self._console.print(f"not delivered to MLflow: the sweep: {error}", highlight=False, markup=False)
        start = "" if self._store.uri.startswith("http") else "mlflow ui, then "
        page = self._store.page(views.view_key(self._sweep.id))
        self._console.print(f"in MLflow: {start}{page}", highlight=False, markup=False)
        return undelivered

    def _close_parent(self, status: int, failed: int) -> None:
        client, folder = self._store.client, self._sweep.folder(self._multirun)
        counts = {"sweep/jobs": len(self._sweep.jobs), "sweep/failed": failed}
        for name, value in counts.items():
            client.log_metric(self._parent, name, value)
        for path in sorted(folder.iterdir()):
            client.log_artifact(self._parent, str(path))
        client.set_terminated(self._parent, STATUS.get(status, "KILLED"))
