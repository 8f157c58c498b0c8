"""A sweep as MLflow sees it: one parent run, one thread that delivers the jobs' folders while they grow."""

import logging
import threading
from pathlib import Path

from rich.console import Console

from src.config import Tracking
from src.runs.folder import JobFolder, Sweep
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
            Delivery(self._store, sweep.id, self._parent, job, JobFolder(multirun / "jobs" / job.folder), settings.system_metrics)
            for job in sweep.jobs
        ]
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
            name = f"sweep {sweep.id[:8]}"
            made = client.create_run(self._store.experiment_id, sweep.started, tags, run_name=name)
            run_id = made.info.run_id
        again = f"{len(sweep.jobs)} jobs, varying {', '.join(sweep.varies) or 'nothing'}.\n\n    {sweep.command}"
        client.set_tag(run_id, "mlflow.note.content", again)
        return run_id

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
        return undelivered

    def _close_parent(self, status: int, failed: int) -> None:
        client, folder = self._store.client, self._sweep.folder(self._multirun)
        counts = {"sweep/jobs": len(self._sweep.jobs), "sweep/failed": failed}
        for name, value in counts.items():
            client.log_metric(self._parent, name, value)
        for path in sorted(folder.iterdir()):
            client.log_artifact(self._parent, str(path))
        client.set_terminated(self._parent, STATUS.get(status, "KILLED"))
