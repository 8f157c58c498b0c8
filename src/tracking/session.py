"""A sweep as MLflow sees it: one parent run, one thread that delivers the jobs' folders while they grow."""

import math
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path

from src.bad_input import BadInput
from src.options import Tracking
from src.runs.folder import MULTIRUN
from src.runs.sweep import Sweep
from src.storage.lock import folder_lock
from src.tracking.address import reason, shown, sqlite_file, store_uri
from src.tracking.delivery import Delivery
from src.tracking.files import Undelivered, refusal
from src.tracking.store import open_store, unusable
from src.tracking.sweep_run import SweepRun

PERIOD = 1.0  # seconds between two looks at the folders
LONGEST_PERIOD = 30.0  # the same while the store fails
PATIENCE = 60.0  # seconds that a finished sweep waits for a store that takes nothing more
STOPPED_PATIENCE = 2.0  # the same where the user wants to be gone
NOTICE = 5.0  # seconds after which a wait is told
LONGEST_REASON = 200  # characters of what a library says
NAMED = 5  # jobs that are told by name
HINTS = {
    "401": "log in by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    "403": "you may not write there; tracking.experiment=NAME takes another experiment",
    "413": "a server takes no file so large; nginx has its limit in client_max_body_size",
}


class Tracker:
    """Delivers a sweep from a thread of its own until it is closed, so that training does not wait for the store."""

    def __init__(
        self, settings: Tracking, sweep: Sweep, multirun: Path, say: Callable[[str], None], *, by_sync: bool = False
    ) -> None:
        """`by_sync`: the user has written `src.sync`, whose options have other names than training's."""
        self._settings, self._sweep, self._multirun, self._say = settings, sweep, multirun, say
        self._by_sync = by_sync
        self._uri = store_uri(settings)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="delivery", daemon=True)
        self._parent: SweepRun | None = None
        self._left: list[Delivery] = []  # the jobs that are not delivered to their end
        self._jobs: list[Delivery] = []
        self._refused: list[str] = []  # runs that no further try would complete, and why
        self._refusals: dict[str, str] = {}  # the store's last answer for a run
        self._sweep_delivered = False
        self._stopped = False  # by the user, who wants to be gone
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
                self._store = open_store(self._settings, self._multirun, self._typed("experiment"))
                self._parent = SweepRun(self._store, self._sweep, self._multirun)
                self._parent.open()
        except BadInput:
            raise
        except Exception as error:  # as in `_try`
            self._abandon()
            refused = unusable(error, self._uri, "cannot be used", self._typed("experiment"))
            raise refused from (
                error if shown(self._uri) == self._uri else None
            )  # a traceback would repeat the password
        except BaseException:  # a signal
            self._abandon()
            raise
        if self._store.multirun.notice:
            self._say(self._store.multirun.notice)
        mark, metrics = self._parent.mark, self._settings.system_metrics
        self._left = [
            Delivery(self._store, mark, self._parent.id, job, job.at(self._multirun), metrics)
            for job in self._sweep.jobs
        ]
        self._jobs = list(self._left)
        self._thread.start()

    def _work(self) -> None:
        assert self._parent is not None
        publish = self._parent.publish_views
        published = self._try(publish)
        jobs, period = list(self._left), PERIOD
        while not self._closing.wait(period):
            failed = [job for job in jobs if not (self._closing.is_set() or self._try(job.advance))]
            period = min(2 * period, LONGEST_PERIOD) if failed else PERIOD  # a store that fails is left in peace
        while not self._deliver_rest() and time.monotonic() < self._deadline:
            time.sleep(PERIOD)
        if self._sweep_delivered and not published and not self._try(publish) and self._error:
            self._say(f"MLflow's page shows its plain view: {self._told(self._error)}")

    def _deliver_rest(self) -> bool:
        """Bring what is left to its end; a job that fails holds no other up."""
        assert self._parent is not None
        for job in list(self._left):
            if self._try_last(job.close, job.label):
                self._left.remove(job)
        self._sweep_delivered = self._sweep_delivered or self._try_last(self._parent.close, "the sweep's own run")
        return self._sweep_delivered and not self._left

    def _try_last(self, step: Callable[[], None], what: str) -> bool:
        """Take a step that ends a run, and return whether another try would change nothing.

        A refusal of the store's has to be repeated to count: a run that was deleted is made again by the next try.
        """
        done, error = self._attempt(step)
        reason = refusal(error)
        if done or not reason:
            self._refusals.pop(what, None)
            return done
        self._deadline = max(self._deadline, time.monotonic() + self._patience)  # the store has answered
        final = isinstance(error, Undelivered) or self._refusals.get(what) == reason
        self._refusals[what] = reason
        if final and error is not None:
            self._refused.append(f"{what}: {self._told(error)}")
        return final

    def _try(self, step: Callable[[], None]) -> bool:
        """Take a step, and return whether it went well."""
        return self._attempt(step)[0]

    def _attempt(self, step: Callable[[], None]) -> tuple[bool, Exception | None]:
        """Take a step; none is begun after the deadline, which each success puts off.

        Whatever a store may raise is kept for `close` to tell.
        """
        if time.monotonic() > self._deadline:
            return False, None
        try:
            step()
        except Exception as error:
            self._error = error
            return False, error
        if self._closing.is_set() and not self._stopped:
            self._deadline = time.monotonic() + self._patience
        return True, None

    def close(self, *, stopped: bool = False) -> bool:
        """Deliver the rest, give the sweep's run its true status, and say what could not be delivered.

        Args:
            stopped: whether the user has stopped the sweep; it waits for its store a few seconds only.

        Returns:
            Whether all is delivered.
        """
        if self._thread.ident is None:  # stopped or refused while the store was being opened
            self._abandon()
            return False
        self._stopped = stopped
        self._patience = STOPPED_PATIENCE if stopped else PATIENCE
        self._deadline = time.monotonic() + self._patience
        self._closing.set()
        try:
            self._wait()
        finally:  # who does not wait any longer is told the same
            left = self._not_delivered()
            self._say_result(left)
        return not (left or self._refused or any(job.fault for job in self._jobs))

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
        faults = [f"{job.label}: {job.fault}" for job in self._jobs if job.fault]
        for fault in faults[:NAMED]:
            self._say(f"not delivered to MLflow: {fault}")
        if faults:
            more = f"and {len(faults) - NAMED} more; " if len(faults) > NAMED else ""
            self._say(f"  {more}write: {self._sweep.command}")
        for refused in self._refused[:NAMED]:
            self._say(f"not delivered to MLflow: {_short(refused)}")
        if len(self._refused) > NAMED:
            self._say(f"and so for {len(self._refused) - NAMED} more runs")
        for status, hint in HINTS.items():
            if any(reason.startswith(status) or f" {status} " in reason for reason in self._refusals.values()):
                self._say(f"  {status}: {hint}")
        if left:
            why = self._told(self._error) if self._error else "no answer in time"
            self._say(f"not delivered to MLflow: {', '.join(left)}: {why}")
        if left or self._refused:
            words = ["python", "-m", "src.sync", "--sweep", self._sweep.id[:8]]
            if self._multirun != MULTIRUN:
                words += ["--multirun", str(self._multirun)]
            if self._settings.uri:
                words += ["--uri", self._settings.uri]
            if self._settings.experiment not in (None, "normlab"):
                words += ["--experiment", self._settings.experiment]
            self._say(f"  write: {shlex.join(words)}")
        assert self._parent is not None
        for line in self._parent.pages():
            self._say(line)

    def _abandon(self) -> None:
        if self._parent is not None:
            self._parent.abandon(STOPPED_PATIENCE)

    def _told(self, error: Exception) -> str:
        """What a library says, as a part of a line."""
        return _short(reason(error, self._uri))

    def _typed(self, name: str) -> str:
        """How the user writes a setting of the store's, on the command line of who delivers."""
        return f"--{name}" if self._by_sync else f"tracking.{name}"


def _short(said: str) -> str:
    return said if len(said) <= LONGEST_REASON else f"{said[: LONGEST_REASON - 4]} ..."


def _meeting_place(uri: str, multirun: Path) -> Path:
    """The folder that commands which use the same store have in common, or the nearest one to it that exists."""
    file = sqlite_file(uri)
    place = file.resolve().parent if file else multirun.resolve().parent
    while not place.is_dir():
        place = place.parent
    return place
