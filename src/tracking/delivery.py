"""One job's folder as one MLflow run.

Everything is logged with the time that stands in the folder, so that delivering it twice leaves what delivering it once
leaves (MLflow knows a metric by key, time, step, run and value).
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from src.comparison.colours import colour
from src.runs.folder import ARTIFACTS, JobFolder, PlannedJob
from src.runs.identity import parts_of_a_job
from src.runs.journal import Record
from src.runs.lock import is_owned
from src.schema import leaves
from src.tracking.charts import IMAGE_KEY, IMAGE_STEP
from src.tracking.images import LOGGED_IMAGES_TAG, image_files
from src.tracking.store import Store
from src.tracking.views import sweep_tag

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
        self._records = 0  # how many of the attempt's records are delivered
        self.ended = False

    @property
    def label(self) -> str:
        """The job's short name."""
        return self._job.label

    def advance(self) -> None:
        """Deliver what is new in the folder."""
        records = self._folder.records()
        if not records or records[0]["kind"] != "start":
            return
        if records[0]["time"] != self._attempt:
            self._open(records[0])
        if self.ended and len(records) == self._records:
            return
        if self.ended:
            self._reopen()
        self._log_records(records[self._records :])
        self._records = len(records)
        result = self._folder.result()
        if result is not None:
            self._finish(result)
        elif records[-1]["kind"] == "stop":
            self._stop(records[-1]["status"], records[-1]["error"], records[-1]["time"])

    def close(self) -> None:
        """Bring the run to its end: a job that left neither result nor reason, and that nobody trains, has died."""
        self.advance()
        if self._run and not self.ended and not is_owned(self._folder.path):
            self._stop("FAILED", "the job's process died without a word", None)

    def _open(self, start: Record) -> None:
        """Find the run of this attempt or make it; a run of an earlier attempt is superseded."""
        self._attempt, self._records, self.ended = start["time"], 0, False
        self._data = start["config"]["data"]["name"]
        client, attempt = self._store.client, str(start["time"])
        mine = {
            "mlflow.parentRunId": self._parent,
            "mlflow.runName": self._job.label,
            "cell": self._job.cell,
            sweep_tag(self._sweep_id): "true",
        }
        for run in self._store.find(kind="job", job_key=self._job.key):
            if run.data.tags.get("attempt") == attempt:
                self._run = run.info.run_id
                changed = {name: value for name, value in mine.items() if run.data.tags.get(name) != value}
                missing = {name: value for name, value in self._job.params.items() if name not in run.data.params}
                self._log(tags=changed, params=missing)
                self.ended = run.info.status == "FINISHED"
                if self.ended:
                    self._records = len(self._folder.records())
                else:
                    self._reopen()
                return
            self._supersede(
                run.info.run_id, run.info.status, [name for name in run.data.tags if name.startswith("sweep.")]
            )
        tags = {"kind": "job", "job_key": self._job.key, **mine, **job_tags(start)}
        run = client.create_run(self._store.experiment_id, start["time"], tags, run_name=self._job.label)
        self._run = run.info.run_id
        self._log(params=self._job.params)
        if self._system_metrics and not self._folder.finished:
            self._monitor = SystemMetricsMonitor(self._run, tracking_uri=self._store.uri)
            self._monitor.start()

    def _reopen(self) -> None:
        """A job that was stopped goes on."""
        self.ended = False
        client = self._store.client
        client.update_run(self._run, status="RUNNING")
        if "error" in client.get_run(self._run).data.tags:
            client.delete_tag(self._run, "error")

    def _supersede(self, run_id: str, status: str, sweeps: list[str]) -> None:
        """Take an earlier attempt out of every view, but keep what it logged."""
        client = self._store.client
        client.set_tag(run_id, "superseded", "true")
        for name in sweeps:
            client.delete_tag(run_id, name)
        if status == "RUNNING":
            client.set_terminated(run_id, "KILLED")

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
        metrics = [
            Metric(name, value, record["time"], record["epoch"])
            for record in records
            if record["kind"] == "epoch"
            for name, value in record["metrics"].items()
        ]
        self._log(metrics=metrics)
        for record in records:
            if record["kind"] == "ready":
                self._store.client.log_inputs(self._run, [dataset(self._data, record["source"])])
                self._log(tags={"parameters": str(record["parameters"]), "env.device": record["device"]})

    def _finish(self, result: Mapping[str, Any]) -> None:
        """The numbers at the end, the files, and only then the status."""
        client, finished = self._store.client, result["finished"]
        shown = ("test/loss", "test/accuracy", "test/errors", "best/val_accuracy")
        final = {name: round(result["metrics"][name], DECIMALS) for name in shown}
        self._log(metrics=[Metric(name, value, finished, 0) for name, value in final.items()])
        for name in ARTIFACTS:
            client.log_artifact(self._run, str(self._folder.path / name))
        self._log_image(finished)
        self._terminate("FINISHED", finished)

    def _log_image(self, time: int) -> None:
        """The worst mistakes in the form that the page lays side by side with those of other runs."""
        png = (self._folder.path / "misclassified.png").read_bytes()
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in image_files(png, self._job.key, IMAGE_KEY, IMAGE_STEP, time).items():
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
        self._store.client.set_terminated(self._run, status, time)
        self.ended = True


def job_tags(start: Record) -> dict[str, str]:
    """What does not change in a job: its identity, its code, where it ran."""
    environment = dict(start["environment"])
    commit = environment.pop("commit", "")
    found = {
        "attempt": str(start["time"]),
        "seed": str(start["config"]["seed"]),
        "code": start["code"],
        "env.threads": str(start["config"]["threads"]),
        "mlflow.source.name": "src/train.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.runColor": colour(parts_of_a_job(leaves(start["config"]))),
        **{f"env.{name}": value for name, value in environment.items()},
    }
    if commit:
        found |= {"mlflow.source.git.commit": commit.rstrip("+"), "git.dirty": str(commit.endswith("+")).lower()}
    return found


def dataset(name: str, source: Mapping[str, Any]) -> DatasetInput:
    """The images as MLflow's dataset input; the digest is the one that the job's key holds."""
    entity = Dataset(
        name=name,
        digest=source["digest"][:32],  # the store has room for 36
        source_type="local",
        source=json.dumps({"uri": source["place"]}),
        profile=json.dumps({name: source[name] for name in ("train", "test", "channels", "size")}),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])
