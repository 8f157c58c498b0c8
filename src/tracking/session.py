"""A sweep as MLflow sees it: one parent run, one thread that delivers the jobs' folders while they grow."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from src.config import Tracking
from src.runs.folder import JobFolder, Sweep
from src.tracking import views
from src.tracking.delivery import Delivery
from src.tracking.store import open_store

PERIOD = 1.0  # seconds between two looks at the folders
PATIENCE = 60.0  # seconds that a finished sweep waits for a store that does not answer
STOPPED_PATIENCE = 3.0  # the same where the user wants to be gone
STATUS = {0: "FINISHED", 1: "FAILED"}


class Tracker:
    """Delivers a sweep from a thread of its own until it is closed, so that training does not wait for the store."""

    def __init__(self, settings: Tracking, sweep: Sweep, multirun: Path, say: Callable[[str], None]) -> None:
        self._settings, self._sweep, self._multirun, self._say = settings, sweep, multirun, say
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="delivery", daemon=True)
        self._parent = ""
        self._status = 0
        self._deadline = 0.0
        self._left: list[str] = []
        self._error: Exception | None = None

    def open(self) -> None:
        """Open the store and the sweep's run, and begin to deliver.

        Raises:
            BadInput: where the store cannot be opened.
        """
        self._store = open_store(self._settings, self._multirun / "artifacts")
        self._parent = self._open_parent()
        jobs = self._multirun / "jobs"
        self._jobs = [
            Delivery(
                self._store,
                self._sweep.id,
                self._parent,
                job,
                JobFolder(jobs / job.folder),
                self._settings.system_metrics,
            )
            for job in self._sweep.jobs
        ]
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
        except Exception as error:  # as in `_try`
            self._say(f"MLflow's page shows its plain view: {error}")

    def _work(self) -> None:
        self._publish_views()
        while not self._closing.wait(PERIOD):
            self._try(self._jobs, Delivery.advance)
        left = self._jobs
        while (left := self._try(left, Delivery.close)) and time.monotonic() < self._deadline:
            time.sleep(PERIOD)
        self._left = [job.label for job in left]
        try:
            self._close_parent()
        except Exception as error:  # as in `_try`
            self._error = error
            self._left.append("the sweep")

    def _try(self, jobs: list[Delivery], step: Callable[[Delivery], None]) -> list[Delivery]:
        """Take a step with each job and return those that failed, to be tried again."""
        failed = []
        for job in jobs:
            try:
                step(job)
            except Exception as error:  # whatever a store may raise; told by `close`
                self._error = error
                failed.append(job)
        return failed

    def close(self, status: int) -> bool:
        """Deliver the rest, give the sweep's run its true status, and say what could not be delivered.

        Args:
            status: the exit status so far; a stopped sweep waits for its store a few seconds only.

        Returns:
            Whether all is delivered.
        """
        if not self._thread.is_alive():  # stopped while the store was being opened
            if self._parent:
                self._store.client.set_terminated(self._parent, "KILLED")
            return False
        patience = PATIENCE if status in STATUS else STOPPED_PATIENCE
        self._status, self._deadline = status, time.monotonic() + patience
        self._closing.set()
        self._thread.join(patience + 1)
        left = ["the last of it"] if self._thread.is_alive() else self._left
        if left:
            reason = f": {self._error}" if self._error else ""
            self._say(f"not delivered to MLflow: {', '.join(left)}{reason}")
            self._say(f"  write: python -m src.sync --sweep {self._sweep.id[:8]}")
        self._say(f"in MLflow: {self._store.page(views.view_key(self._sweep.id))}")
        return not left

    def _close_parent(self) -> None:
        client, folder = self._store.client, self._sweep.folder(self._multirun)
        jobs = [JobFolder(self._multirun / "jobs" / job.folder) for job in self._sweep.jobs]
        counts = {
            "sweep/jobs": len(jobs),
            "sweep/finished": sum(job.finished for job in jobs),
            "sweep/failed": sum(job.failed for job in jobs),
        }
        for name, value in counts.items():
            client.log_metric(self._parent, name, value)
        for path in sorted(folder.glob("*.*")):
            client.log_artifact(self._parent, str(path))
        client.set_terminated(self._parent, STATUS.get(self._status, "KILLED"))
