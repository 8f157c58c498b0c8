"""A sweep as MLflow sees it: one parent run, one thread that delivers the jobs' folders while they grow."""

import contextlib
import math
import re
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mlflow.entities import Metric, RunTag

from src.bad_input import BadInput
from src.config import Tracking
from src.runs.folder import JobFolder, Sweep
from src.runs.lock import folder_lock
from src.tracking import views
from src.tracking.address import reason, shown, store_uri
from src.tracking.checks import check_files, remove_partial_files
from src.tracking.delivery import Delivery, supersede, terminate
from src.tracking.store import open_store

PERIOD = 1.0  # seconds between two looks at the folders
PATIENCE = 60.0  # seconds that a finished sweep waits for a store that takes nothing more
STOPPED_PATIENCE = 2.0  # the same where the user wants to be gone
NOTICE = 5.0  # seconds after which a wait is told
STATUS = {0: "FINISHED", 1: "FAILED"}
LONGEST_REASON = 200  # characters of what a library says
NAMED = 5  # jobs that are told by name


class Tracker:
    """Delivers a sweep from a thread of its own until it is closed, so that training does not wait for the store."""

    def __init__(self, settings: Tracking, sweep: Sweep, multirun: Path, say: Callable[[str], None]) -> None:
        self._settings, self._sweep, self._multirun, self._say = settings, sweep, multirun, say
        self._uri = store_uri(settings)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="delivery", daemon=True)
        self._parent = ""
        self._left: list[Delivery] = []  # the jobs that are not delivered to their end
        self._sweep_delivered = False
        self._status, self._ended = 0, 0  # the exit status, and when the sweep ended
        self._patience, self._deadline = PATIENCE, math.inf
        self._error: Exception | None = None

    def open(self) -> None:
        """Open the store and the sweep's run, and begin to deliver.

        Raises:
            BadInput: where the store cannot be used.
        """
        try:
            # A new store gets its tables, and a sweep its run, from one command alone.
            with folder_lock(_meeting_place(self._uri, self._multirun)):
                self._store = open_store(self._settings, self._multirun / "artifacts")
                self._open_parent()
        except BadInput:
            raise
        except Exception as error:  # as in `_attempt`
            self._abandon()
            raise BadInput(
                f"the store {shown(self._uri)} cannot be used: {self._told(error)}", write="tracking=none"
            ) from (error if shown(self._uri) == self._uri else None)  # a traceback would repeat the password
        jobs, metrics = self._multirun / "jobs", self._settings.system_metrics
        self._left = [
            Delivery(self._store, self._sweep.id, self._parent, job, JobFolder(jobs / job.folder), metrics)
            for job in self._sweep.jobs
        ]
        self._thread.start()

    def _open_parent(self) -> None:
        """The sweep's run: the same sweep again reopens it."""
        client, sweep = self._store.client, self._sweep
        found, lost = self._store.find(kind="sweep", sweep_id=sweep.id), None
        if not found:
            tags = {"kind": "sweep", "sweep_id": sweep.id}
            try:
                client.create_run(self._store.experiment_id, sweep.started, tags, run_name=sweep.title)
            except Exception as error:  # the run may be there all the same, and only the answer lost
                lost = error
            found = self._store.find(kind="sweep", sweep_id=sweep.id)
        if not found:
            raise lost or OSError("it does not show the run that was made")
        self._parent = found[0].info.run_id
        remove_partial_files(found[0])
        for ghost in found[1:]:
            supersede(client, ghost)
        client.update_run(self._parent, status="RUNNING")
        text = f"{len(sweep.jobs)} jobs, varying {', '.join(sweep.varies) or 'nothing'}.\n\n    {sweep.command}"
        client.log_batch(self._parent, tags=[RunTag("command", sweep.command), RunTag("mlflow.note.content", text)])

    def _abandon(self) -> None:
        """Stopped or refused before anything ran: the sweep's run does not stay RUNNING, if that can be had at once."""

        def end() -> None:
            with contextlib.suppress(Exception):  # as in `_attempt`
                self._store.client.set_terminated(self._parent, "KILLED")

        if self._parent:
            ending = threading.Thread(target=end, daemon=True)
            ending.start()
            ending.join(STOPPED_PATIENCE)
            self._parent = ""

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
        for name, value in made.items():
            store.client.set_experiment_tag(store.experiment_id, name, value)
        tags = store.client.get_experiment(store.experiment_id).tags
        for name in views.surplus_views(tags):
            store.client.delete_experiment_tag(store.experiment_id, name)
        text = views.note(store.experiment_id, tags)
        store.client.set_experiment_tag(store.experiment_id, "mlflow.note.content", text)

    def _work(self) -> None:
        published = self._attempt(self._publish_views)
        jobs = list(self._left)
        while not self._closing.wait(PERIOD):
            for job in jobs:
                if not self._closing.is_set():
                    self._attempt(job.advance)
        while not self._deliver_rest() and time.monotonic() < self._deadline:
            time.sleep(PERIOD)
        if self._sweep_delivered and not published and not self._attempt(self._publish_views) and self._error:
            self._say(f"MLflow's page shows its plain view: {self._told(self._error)}")

    def _deliver_rest(self) -> bool:
        """Bring what is left to its end; a job that fails holds no other up."""
        for job in list(self._left):
            if self._attempt(job.close):
                self._left.remove(job)
        self._sweep_delivered = self._sweep_delivered or self._attempt(self._close_parent)
        return self._sweep_delivered and not self._left

    def _attempt(self, step: Callable[[], None]) -> bool:
        """Take a step, and return whether it went well; none is begun after the deadline, which each success puts off.

        Whatever a store may raise is kept for `close` to tell.
        """
        if time.monotonic() > self._deadline:
            return False
        try:
            step()
        except Exception as error:
            self._error = error
            return False
        if self._closing.is_set() and self._status in STATUS:
            self._deadline = time.monotonic() + self._patience
        return True

    def close(self, status: int) -> bool:
        """Deliver the rest, give the sweep's run its true status, and say what could not be delivered.

        Args:
            status: the exit status so far; a stopped sweep waits for its store a few seconds only.

        Returns:
            Whether all is delivered.
        """
        if self._thread.ident is None:  # stopped or refused while the store was being opened
            self._abandon()
            return False
        self._status, self._ended = status, time.time_ns() // 1_000_000
        self._patience = PATIENCE if status in STATUS else STOPPED_PATIENCE
        self._deadline = time.monotonic() + self._patience
        self._closing.set()
        try:
            self._wait()
        finally:  # who does not wait any longer is told the same
            left = self._not_delivered()
            self._say_result(left)
        return not left

    def _wait(self) -> None:
        """Wait for the thread, but not for an answer that it waits for beyond the deadline."""
        notice = time.monotonic() + NOTICE
        while self._thread.is_alive() and time.monotonic() < self._deadline:
            self._thread.join(PERIOD / 10)
            if time.monotonic() > notice:
                self._say(
                    f"delivering to MLflow: {self._patience:.0f} s more if it takes nothing; Ctrl-C ends the wait"
                )
                notice = math.inf

    def _not_delivered(self) -> list[str]:
        lacking = [text for job in list(self._left) if (text := job.lacking)]
        more = [f"{len(lacking) - NAMED} more jobs"] if len(lacking) > NAMED else []
        return [*lacking[:NAMED], *more, *([] if self._sweep_delivered else ["the sweep's own run"])]

    def _say_result(self, left: list[str]) -> None:
        if left:
            why = self._told(self._error) if self._error else "no answer in time"
            self._say(f"not delivered to MLflow: {', '.join(left)}: {why}")
            words = ["python", "-m", "src.sync", "--sweep", self._sweep.id[:8]]
            if self._settings.uri:
                words += ["--uri", self._settings.uri]
            if self._settings.experiment not in (None, "normlab"):
                words += ["--experiment", self._settings.experiment]
            self._say(f"  write: {shlex.join(words)}")
        self._say(f"in MLflow: {self._store.page(views.view_key(self._sweep.id))}")

    def _close_parent(self) -> None:
        client, folder = self._store.client, self._sweep.folder(self._multirun)
        jobs = [JobFolder(self._multirun / "jobs" / job.folder) for job in self._sweep.jobs]
        counts = {
            "sweep/jobs": len(jobs),
            "sweep/finished": sum(job.finished for job in jobs),
            "sweep/failed": sum(job.failed for job in jobs),
        }
        # One time for all, so that to do this again changes nothing.
        client.log_batch(self._parent, [Metric(name, value, self._ended, 0) for name, value in counts.items()])
        files = {path.name: path.stat().st_size for path in sorted(folder.glob("[!.]*.*"))}
        for name in files:
            client.log_artifact(self._parent, str(folder / name))
        check_files(client, self._parent, files)
        for run in self._store.find(kind="sweep", sweep_id=self._sweep.id):
            if run.info.run_id != self._parent:
                supersede(client, run)  # made by a request that the store took up late
        terminate(client, self._parent, STATUS.get(self._status, "KILLED"), self._ended)

    def _told(self, error: Exception) -> str:
        """What a library says, as a part of a line: the cause, where urllib3 hides it behind the address's parts."""
        said = reason(error, self._uri)
        cause = re.search(r"\(Caused by \w+\([\"']?(?:HTTPS?Connection(?:Pool)?\(.*?\): )?(.*?)[\"']?\)\)$", said)
        if cause:
            said = f"{shown(self._uri)}: {cause[1]}"
        return said if len(said) <= LONGEST_REASON else f"{said[: LONGEST_REASON - 4]} ..."


def _meeting_place(uri: str, multirun: Path) -> Path:
    """The folder that commands which use the same store have in common, or the nearest one to it that exists."""
    file = uri.partition("sqlite:///")[2].partition("?")[0]
    place = (Path(file).parent if file else multirun).absolute()
    while not place.is_dir():
        place = place.parent
    return place
