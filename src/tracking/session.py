"""Delivers a sweep to MLflow from its jobs' folders, in a thread of its own while the jobs train."""

import math
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path

from src.bad_input import BadInput
from src.command import MULTIRUN
from src.options import Tracking
from src.runs.sweep import Sweep
from src.storage.lock import folder_lock
from src.tracking.address import error_reason, sqlite_file, store_uri
from src.tracking.delivery import Delivery
from src.tracking.files import UndeliverableError, final_refusal
from src.tracking.store import open_store, refuse_store
from src.tracking.sweep_run import SweepRun
from src.wording import shorten

DELIVERY_PERIOD = 1.0  # seconds between two readings of the jobs' folders
LONGEST_PERIOD = 30.0  # seconds between two readings while the store fails
PATIENCE = 60.0  # seconds that a finished sweep waits for a store that accepts no data
STOPPED_PATIENCE = 2.0  # seconds that a sweep waits for the store after Ctrl-C
NOTICE_DELAY = 5.0  # seconds after which a message reports that the command waits
LONGEST_REASON = 200  # a message shows this many characters of a library's error
MOST_NAMES = 5  # a message names this many jobs
HINTS = {
    "401": "log in with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    "403": "you may not write to this experiment; choose another one with tracking.experiment=NAME",
    "413": "the file is larger than the server allows; nginx sets its limit with client_max_body_size",
}


class Tracker:
    """Delivers a sweep in a thread of its own, so training never waits for the store."""

    def __init__(
        self, settings: Tracking, sweep: Sweep, multirun: Path, say: Callable[[str], None], *, for_sync: bool = False
    ) -> None:
        """Set `for_sync` if messages must name the options of `src.sync`, not those of the training command."""
        self._settings, self._sweep, self._multirun, self._say = settings, sweep, multirun, say
        self._experiment = "--experiment" if for_sync else "tracking.experiment"
        self._uri = store_uri(settings)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._deliver_until_closed, name="delivery", daemon=True)
        self._sweep_run: SweepRun | None = None
        self._deliveries: list[Delivery] = []
        self._open_runs: list[Delivery | SweepRun] = []  # runs that have not ended
        self._refusal_by_run: dict[str, str] = {}  # the store's last refusal of each run, by the run's name
        self._refused_runs: list[str] = []  # runs that no retry can complete, with the reasons
        self._was_stopped = False  # whether Ctrl-C or a signal stopped the sweep
        self._patience, self._deadline = PATIENCE, math.inf
        self._error: Exception | None = None  # the store's last error

    def open(self) -> None:
        """Open the store and the sweep's run, and start the delivery. Raises BadInput if the store cannot be used."""
        try:
            path = (sqlite_file(self._uri) or self._multirun).resolve()
            # Only one command at a time may create the tables of a new store, or the run of a sweep.
            with folder_lock(next(folder for folder in path.parents if folder.is_dir())):
                store = open_store(self._settings, self._multirun, self._experiment)
                sweep_run = self._sweep_run = SweepRun(store, self._sweep, self._multirun)
                sweep_run.open()
        except BaseException as error:  # a signal, or any error of the store
            if self._sweep_run is not None:
                self._sweep_run.abandon(STOPPED_PATIENCE)
            if isinstance(error, BadInput) or not isinstance(error, Exception):
                raise
            refuse_store(error, self._uri, "cannot be used", self._experiment)
        if store.multirun.notice:
            self._say(store.multirun.notice)
        system_metrics = self._settings.system_metrics
        self._deliveries = [
            Delivery(store, sweep_run.mark, sweep_run.id, job, job.folder_in(self._multirun), system_metrics)
            for job in self._sweep.jobs
        ]
        self._open_runs = [*self._deliveries, sweep_run]
        self._thread.start()

    def _deliver_until_closed(self) -> None:
        assert self._sweep_run is not None
        publish_views, period = self._sweep_run.publish_views, DELIVERY_PERIOD
        has_failed = self._attempt(publish_views) is not None
        while not self._closing.wait(period):
            errors = [self._attempt(job.deliver_new_records) for job in self._deliveries if not self._closing.is_set()]
            period = min(2 * period, LONGEST_PERIOD) if any(errors) else DELIVERY_PERIOD
        while not self._end_runs() and time.monotonic() < self._deadline:
            time.sleep(DELIVERY_PERIOD)
        if self._sweep_run not in self._open_runs and has_failed and (error := self._attempt(publish_views)):
            self._say(f"MLflow did not store the sweep's views: {_cut_reason(error_reason(error, self._uri))}")

    def _end_runs(self) -> bool:
        """Try to end all runs, the sweep's own run last; return whether all runs have ended."""
        for run in list(self._open_runs):
            if self._end_run(run):
                self._open_runs.remove(run)
        return not self._open_runs

    def _end_run(self, run: Delivery | SweepRun) -> bool:
        """Try to end a run; return False if a retry may succeed.

        A refusal is final only if the store repeats it, because a retry creates a deleted run again.
        """
        error = self._attempt(run.close)
        answer = final_refusal(error)
        if error is None or not answer:
            self._refusal_by_run.pop(run.name, None)
            return error is None
        self._deadline = max(self._deadline, time.monotonic() + self._patience)  # the store answered, so wait longer
        is_final = isinstance(error, UndeliverableError) or self._refusal_by_run.get(run.name) == answer
        self._refusal_by_run[run.name] = answer
        if is_final:
            self._refused_runs.append(_cut_reason(f"{run.name}: {error_reason(error, self._uri)}"))
        return is_final

    def _attempt(self, step: Callable[[], None]) -> Exception | None:
        """Run a step and return its error; starts no step after the deadline, which each success postpones."""
        if time.monotonic() > self._deadline:
            return TimeoutError("MLflow did not answer in time")
        try:
            step()
        except Exception as error:  # a store may raise any error; `close` reports it
            self._error = error
            return error
        if self._closing.is_set() and not self._was_stopped:
            self._deadline = time.monotonic() + self._patience
        return None

    def close(self, *, stopped: bool = False) -> bool:
        """Deliver all undelivered data, end the runs, and report missing data; return whether everything is delivered.

        Set `stopped` after Ctrl-C or a signal: this call then waits only 2 s for a store that does not answer.
        """
        # The thread never started: the store did not open in time, or normlab refused it.
        if self._thread.ident is None:
            if self._sweep_run is not None:
                self._sweep_run.abandon(STOPPED_PATIENCE)
            return False
        self._was_stopped = stopped
        self._patience = STOPPED_PATIENCE if stopped else PATIENCE
        self._deadline = time.monotonic() + self._patience
        self._closing.set()
        notice_time = time.monotonic() + NOTICE_DELAY
        try:
            while self._thread.is_alive() and time.monotonic() < self._deadline:
                self._thread.join(DELIVERY_PERIOD / 10)
                if time.monotonic() > notice_time:
                    limit = f"{self._patience:.0f} s without progress"
                    self._say(f"waiting for MLflow; normlab gives up after {limit}; press Ctrl-C to stop now")
                    notice_time = math.inf
        finally:  # report even after a second Ctrl-C
            is_complete = self._report_undelivered()
        return is_complete

    def _report_undelivered(self) -> bool:
        """Report undelivered runs with reasons and the next command; return whether everything is delivered."""
        faults = [f"{job.name}: {job.fault}" for job in self._deliveries if job.fault]
        self._say_undelivered(shorten(faults, MOST_NAMES, "{:,} more jobs"))
        if faults:
            self._say(f"  write: {self._sweep.command}")
        self._say_undelivered(shorten(self._refused_runs, MOST_NAMES, "{:,} more runs"))
        for status, hint in HINTS.items():
            if any(answer.startswith(status) or f" {status} " in answer for answer in self._refusal_by_run.values()):
                self._say(f"  {status}: {hint}")
        runs = list(self._open_runs)  # a copy, because the thread may still change the list
        texts = [text for run in runs if isinstance(run, Delivery) and (text := run.undelivered_text)]
        entries = [*shorten(texts, MOST_NAMES, "{:,} more jobs"), *(run.name for run in runs if run is self._sweep_run)]
        if entries:
            cause = _cut_reason(error_reason(self._error, self._uri)) if self._error else "MLflow did not answer"
            self._say_undelivered([f"{', '.join(entries)}: {cause}"])
        if entries or self._refused_runs:
            self._say(f"  write: {self._sync_command()}")
        assert self._sweep_run is not None
        for line in self._sweep_run.lines_to_open_mlflow():
            self._say(line)
        return not (entries or self._refused_runs or faults)

    def _say_undelivered(self, texts: list[str]) -> None:
        for text in texts:
            self._say(f"not delivered to MLflow: {text}")

    def _sync_command(self) -> str:
        arguments = ["python", "-m", "src.sync", "--sweep", self._sweep.id[:8]]
        if self._multirun != MULTIRUN:
            arguments += ["--multirun", str(self._multirun)]
        if self._settings.uri:
            arguments += ["--uri", self._settings.uri]
        if self._settings.experiment not in (None, "normlab"):
            arguments += ["--experiment", self._settings.experiment]
        return shlex.join(arguments)


def _cut_reason(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 4]} ..."
