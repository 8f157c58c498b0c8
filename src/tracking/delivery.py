"""One job's folder as one MLflow run.

Everything is logged with the time that stands in the folder, so that delivering it twice leaves what delivering it once
leaves (MLflow knows a metric by key, time, step, run and value).
"""

import logging
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from src.runs.folder import ARTIFACTS, JobFolder
from src.runs.integrity import why_unusable
from src.runs.journal import Record
from src.runs.lock import folder_lock, is_owned
from src.runs.sweep import PlannedJob
from src.tracking.charts import IMAGE_KEY, IMAGE_STEP
from src.tracking.checks import check_files, check_metrics, remove_partial_files
from src.tracking.entities import dataset, epoch_metrics, job_tags
from src.tracking.images import LOGGED_IMAGES_TAG, image_files
from src.tracking.store import Store
from src.tracking.views import sweep_tag

# MLflow's monitor tells at length of a store that does not answer; what matters of it is told when the sweep ends.
logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)

DECIMALS = 4  # of the numbers at the end: the page shows every digit that it is given


class Delivery:
    """Brings one job's run up to what its folder holds, as often as it is asked to."""

    def __init__(
        self, store: Store, sweep_id: str, parent: str, job: PlannedJob, folder: JobFolder, system_metrics: bool
    ) -> None:
        self._store, self._sweep_id, self._parent = store, sweep_id, parent
        self._job, self._folder = job, folder
        self._system_metrics = system_metrics
        self._monitor: SystemMetricsMonitor | None = None
        self._attempt = 0  # the time of the first record of the attempt that `_run` shows
        self._run = ""
        self._data = ""
        self._delivered = 0  # how many of the attempt's records are delivered
        self.ended = False
        self.fault = ""  # the job, and why nothing of its folder can be delivered
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
        """Bring the run to its end: a job that left neither result nor reason, and that nobody trains, has died."""
        if self._usable():
            owned = is_owned(self._folder.path)  # asked first: what is read then is all that there will be
            self._deliver(last=not owned)

    def _usable(self) -> bool:
        """Whether the folder can be delivered; where it cannot, waiting mends nothing, and `fault` says why."""
        if not self._checked:
            what = why_unusable(self._folder, self._job.key)
            self.fault = f"{self._job.label}: {what}" if what else ""
            self._checked = not what and self._folder.finished
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
            sweep_tag(self._sweep_id): "true",
        }
        runs = self._runs()
        of_attempt = [run for run in runs if run.data.tags.get("attempt") == attempt]
        if of_attempt:
            run = max(of_attempt, key=lambda run: run.info.status == "FINISHED")
            remove_partial_files(run)
        else:
            tags = {"kind": "job", "job_key": self._job.key, **mine, **job_tags(start)}
            run = client.create_run(self._store.experiment_id, start["time"], tags, run_name=self._job.label)
            runs = self._runs()  # a request sent twice makes two
        self._run = run.info.run_id
        self._supersede_others(runs)
        changed = {name: value for name, value in mine.items() if run.data.tags.get(name) != value}
        missing = {name: value for name, value in self._job.params.items() if name not in run.data.params}
        self._log(tags=changed, params=missing)
        self._data = start["config"]["data"]["name"]
        self.ended = run.info.status == "FINISHED"
        self._delivered = len(self._folder.records()) if self.ended else 0
        if not self.ended:
            self._reopen()
        if self._system_metrics and not self._folder.finished:
            self._watch()
        self._attempt = start["time"]

    def _reopen(self) -> None:
        """A job that was stopped goes on."""
        self.ended = False
        client = self._store.client
        client.update_run(self._run, status="RUNNING")
        if "error" in client.get_run(self._run).data.tags:
            client.delete_tag(self._run, "error")

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
        """The numbers at the end, the files, and only when the store has them all the status."""
        client, finished = self._store.client, result["finished"]
        shown = ("test/loss", "test/accuracy", "test/errors", "best/val_accuracy")
        final = [Metric(name, round(result["metrics"][name], DECIMALS), finished, 0) for name in shown]
        self._log(metrics=final)
        sizes = {name: (self._folder.path / name).stat().st_size for name in ARTIFACTS}
        for name in ARTIFACTS:
            client.log_artifact(self._run, str(self._folder.path / name))
        png = (self._folder.path / "misclassified.png").read_bytes()
        images = image_files(png, self._job.key, IMAGE_KEY, IMAGE_STEP, finished)
        self._log_images(images)
        check_files(client, self._run, sizes | {name: len(content) for name, content in images.items()})
        check_metrics(client, self._run, epoch_metrics(records) + final)
        self._terminate("FINISHED", finished)

    def _log_images(self, images: Mapping[str, bytes]) -> None:
        """The worst mistakes in the form that the page lays side by side with those of other runs."""
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in images.items():
                path = Path(scratch, name)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
            self._store.client.log_artifacts(self._run, scratch)
        self._log(tags=dict([LOGGED_IMAGES_TAG]))

    def _stop(self, status: str, error: str, time: int | None) -> None:
        """A job that failed or was stopped: its reason and its log."""
        self._log(tags={"error": error[:5000]})
        self._store.client.log_artifact(self._run, str(self._folder.path / "train.log"))
        self._terminate(status, time)

    def _terminate(self, status: str, time: int | None) -> None:
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None
        runs = self._runs()
        self._supersede_others(runs)  # a request that was given up may have been taken up since
        params = {name for run in runs if run.info.run_id == self._run for name in run.data.params}
        if self._job.params.keys() - params:
            raise OSError("the params did not arrive")
        terminate(self._store.client, self._run, status, time)
        self.ended = True


def terminate(client: MlflowClient, run_id: str, status: str, time: int | None) -> None:
    """Give a run its last status, and look whether it has it.

    Raises:
        OSError: where it has not.
    """
    client.set_terminated(run_id, status, time)
    if client.get_run(run_id).info.status != status:
        raise OSError(f"the status {status} did not arrive")


def supersede(client: MlflowClient, run: Run) -> None:
    """Take a run that another one replaces out of every view, but keep what it logged."""
    run_id = run.info.run_id
    client.set_tag(run_id, "superseded", "true")
    for name in run.data.tags:
        if name.startswith("sweep."):
            client.delete_tag(run_id, name)
    if run.info.status == "RUNNING":
        client.set_terminated(run_id, "KILLED")
