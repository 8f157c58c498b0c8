"""One job's folder as one MLflow run.

Everything is logged with the time that stands in the folder, so that delivering it twice leaves what delivering it once
leaves (MLflow knows a metric by key, time, step, run and value).
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from src.runs.folder import ARTIFACTS, JobFolder
from src.runs.integrity import unusable_reason
from src.runs.journal import Record
from src.runs.sweep import PlannedJob
from src.storage.lock import folder_lock, is_owned
from src.tracking.ending import fail_running, supersede, terminate
from src.tracking.entities import dataset, epoch_metrics, job_tags
from src.tracking.files import LACKS, Undelivered, check_files, missing_files, remove_partial_files, send_files
from src.tracking.images import LOGGED_IMAGES_TAG
from src.tracking.job_files import image_paths, job_files
from src.tracking.metrics import check_metrics
from src.tracking.store import Store
from src.tracking.views import sweep_tag

# MLflow's monitor tells at length of a store that does not answer; what matters of it is told when the sweep ends.
logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)

DECIMALS = 4  # of the numbers at the end: the page shows every digit that it is given


class Delivery:
    """Brings one job's run up to what its folder holds, as often as it is asked to."""

    def __init__(
        self, store: Store, mark: str, parent: str, job: PlannedJob, folder: JobFolder, system_metrics: bool
    ) -> None:
        """`mark` names the sweep among those of all who use the store, and `parent` is its run."""
        self._store, self._mark, self._parent = store, mark, parent
        self._job, self._folder, self._system_metrics = job, folder, system_metrics
        self.label = job.label
        self._monitor: SystemMetricsMonitor | None = None
        self._attempt = 0  # the time of the first record of the attempt that `_run` shows
        self._run = ""
        self._data = ""
        self._delivered = 0  # how many of the attempt's records are delivered
        self._lacks = ""  # what of the ended run can never arrive, and why
        self.ended = False
        self.fault = ""  # why nothing of the job's folder can be delivered
        self._checked = False  # whether the finished job's files are known to be whole

    @property
    def lacking(self) -> str:
        """The job and how many of its epochs are not delivered, in words; nothing where all is."""
        records = self._folder.records()
        if (self.ended and len(records) == self._delivered) or not records:
            return ""
        epochs = sum(record["kind"] == "epoch" for record in records[self._delivered :])
        return f"{self._job.label} ({epochs} epochs)" if epochs else self._job.label

    def advance(self) -> None:
        """Deliver what is new in the folder; a finished job has nothing new."""
        if self._usable() and not (self.ended and self._folder.finished):
            self._deliver(last=False)

    def close(self) -> None:
        """Bring the run to its end: a job that left neither result nor reason, and that nobody trains, has died.

        Raises:
            Undelivered: after the run has ended, naming the files that cannot be delivered, however often it is tried.
        """
        if not self._usable():
            fail_running(self._store.client, self._runs(), self.fault)
            return
        self._deliver(last=not is_owned(self._folder.path))  # asked first: what is read then is all that there will be
        if self._lacks:
            raise Undelivered(self._lacks)

    def _usable(self) -> bool:
        """Whether the folder can be delivered; where it cannot, waiting mends nothing, and `fault` says why."""
        if not self._checked:
            self.fault = unusable_reason(self._folder, self._job.key)
            self._checked = not self.fault and self._folder.finished
        return not self.fault

    def _deliver(self, *, last: bool) -> None:
        if not self._folder.journal.exists():
            return
        with folder_lock(self._folder.path):  # one command at a time: two at once would make two runs
            try:
                self._advance()
                if last and self._run and not self.ended:
                    self._stop("FAILED", "the job's process died without a word", None)
            except Exception:
                self._attempt = 0  # the run may be gone, or there although nobody said so: it is looked up again
                raise

    def _advance(self) -> None:
        result = self._folder.result()  # read first: once there is one, the journal has its last line
        records = self._folder.records()
        if not records or records[0]["kind"] != "start":
            return
        if records[0]["time"] != self._attempt:
            self._open(records[0])
        if self.ended and len(records) == self._delivered:
            return
        if self.ended:
            self._reopen()
        self._log_records(records[self._delivered :])
        self._delivered = len(records)
        if result is not None:
            self._finish(result, records)
        elif records[-1]["kind"] == "stop":
            self._stop(records[-1]["status"], records[-1]["error"], records[-1]["time"])

    def _open(self, start: Record) -> None:
        """Find the run of this attempt or make it; any other run of the job is superseded."""
        client, attempt = self._store.client, str(start["time"])
        mine = {
            "mlflow.parentRunId": self._parent,
            "mlflow.runName": self._job.label,
            "cell": self._job.cell,
            sweep_tag(self._mark): "true",
        }
        runs = self._runs()
        of_attempt = [run for run in runs if run.data.tags.get("attempt") == attempt] or self._old_runs(attempt)
        if of_attempt:
            run = max(of_attempt, key=lambda run: run.info.status == "FINISHED")
        else:
            tags = {"kind": "job", "job_key": self._job.key, **mine, **job_tags(start)}
            run = client.get_run(self._store.create_run(start["time"], tags, self._job.label))
            runs = self._runs()  # a request sent twice makes two
        run = self._store.place_files(run)
        remove_partial_files(run)
        self._run = run.info.run_id
        self._supersede_others(runs)
        changed = {name: value for name, value in mine.items() if run.data.tags.get(name) != value}
        missing = {name: value for name, value in self._job.params.items() if name not in run.data.params}
        self._log(tags=changed, params=missing)
        self._data = start["config"]["data"]["name"]
        self.ended = run.info.status == "FINISHED" and "error" not in run.data.tags and self._has_files(run)
        self._delivered = len(self._folder.records()) if self.ended else 0
        if not self.ended:
            self._reopen()
        if self._system_metrics and not self._folder.finished:
            self._watch()
        self._attempt = start["time"]

    def _reopen(self) -> None:
        """A job that was stopped goes on, or a finished one's run gets what it lacks."""
        self.ended = False
        client = self._store.client
        client.update_run(self._run, status="RUNNING")
        for name in {"error", LACKS} & client.get_run(self._run).data.tags.keys():
            client.delete_tag(self._run, name)

    def _old_runs(self, attempt: str) -> list[Run]:
        """The attempt's runs that were made before folders had an identity; from now on they belong to the folder."""
        found = self._store.find_old(kind="job", job_key=self._job.key)
        mine = [run for run in found if run.data.tags.get("attempt") == attempt]
        for run in mine:
            self._store.adopt(run)
        return mine

    def _has_files(self, run: Run) -> bool:
        """Whether a finished run has the job's files, none of which the user has removed since."""
        result = self._folder.result()
        if result is None:
            return True
        images = dict.fromkeys(image_paths(self._job.key, result["finished"]))
        sizes = {name: (self._folder.path / name).stat().st_size for name in ARTIFACTS}
        return not missing_files(self._store.client, run.info.run_id, {**images, **sizes})

    def _watch(self) -> None:
        """Sample the machine's load until the run ends; a monitor that the store has failed gives up by itself."""
        if self._monitor is not None:
            self._monitor.finish()
        self._monitor = SystemMetricsMonitor(self._run, tracking_uri=self._store.uri, resume_logging=True)
        self._monitor.start()

    def _runs(self) -> list[Run]:
        return self._store.find(kind="job", job_key=self._job.key)

    def _supersede_others(self, runs: Iterable[Run]) -> None:
        """Leave one run of the job: others are earlier attempts, or come of a request whose answer was lost."""
        for other in runs:
            if other.info.run_id != self._run:
                supersede(self._store.client, other)

    def _log(
        self, *, metrics: list[Metric] | None = None, params: Mapping[str, str] = {}, tags: Mapping[str, str] = {}
    ) -> None:
        if metrics or params or tags:
            self._store.client.log_batch(
                self._run,
                metrics or [],
                [Param(name, value) for name, value in params.items()],
                [RunTag(name, value) for name, value in tags.items()],
            )

    def _log_records(self, records: list[Record]) -> None:
        self._log(metrics=epoch_metrics(records))
        for record in records:
            if record["kind"] == "ready":
                self._store.client.log_inputs(self._run, [dataset(self._data, record["source"])])
                self._log(tags={"parameters": str(record["parameters"]), "env.device": record["device"]})

    def _finish(self, result: Mapping[str, Any], records: list[Record]) -> None:
        """The numbers at the end, the files, and the status when the store has all of them or refuses the rest."""
        client, finished = self._store.client, result["finished"]
        shown = ("test/loss", "test/accuracy", "test/errors", "best/val_accuracy")
        final = [Metric(name, round(result["metrics"][name], DECIMALS), finished, 0) for name in shown]
        self._log(metrics=final)
        with job_files(self._folder, self._job.key, finished) as files:
            sizes = {name: path.stat().st_size for name, path in files.items() if path.is_file()}
            lacks = send_files(client, self._run, files)
        self._log(tags=dict([LOGGED_IMAGES_TAG]))
        check_files(client, self._run, {name: size for name, size in sizes.items() if name not in lacks})
        check_metrics(client, self._run, epoch_metrics(records) + final)
        self._lack(lacks)
        self._terminate("FINISHED", finished)

    def _lack(self, lacks: Mapping[str, str]) -> None:
        """Note which files the run lacks, and why."""
        self._lacks = "; ".join(f"{name}: {reason}" for name, reason in lacks.items())
        self._log(tags={LACKS: self._lacks[:5000]} if lacks else {})

    def _stop(self, status: str, error: str, time: int | None) -> None:
        """A job that failed or was stopped: its reason and its log."""
        self._log(tags={"error": error[:5000]})
        self._lack(send_files(self._store.client, self._run, {"train.log": self._folder.log}))
        self._terminate(status, time)

    def _terminate(self, status: str, time: int | None) -> None:
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None
        runs = self._runs()
        self._supersede_others(runs)  # a request that was given up may have been taken up since
        mine = [run.data for run in runs if run.info.run_id == self._run]
        if self._job.params.keys() - {name for data in mine for name in data.params}:
            raise OSError("the params did not arrive")
        if status == "FINISHED" and any("error" in data.tags for data in mine):  # of who took the job for dead
            self._store.client.delete_tag(self._run, "error")
        terminate(self._store.client, self._run, status, time)
        self.ended = True
