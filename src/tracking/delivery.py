"""Delivers one job's folder to its MLflow run.

All logged values have the times in the journal. MLflow identifies a metric by its run, key, time, step and value, so a
second delivery changes nothing.
"""

from typing import Any

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from src.runs.folder import FinishedJob, JobFolder, recorded_device
from src.runs.integrity import unusable_reason
from src.runs.journal import Record
from src.runs.sweep import PlannedJob
from src.storage.lock import folder_lock, is_locked
from src.tracking.files import UndeliverableError, deliver_files, missing_files, remove_partial_files
from src.tracking.job_files import LOGGED_IMAGES_TAG, image_paths, job_files
from src.tracking.runs import check_metrics, dataset_input, end_run, epoch_metrics, job_tags, supersede_other_runs
from src.tracking.store import Store
from src.tracking.views import sweep_tag

DECIMALS = 4  # final metrics are rounded to these decimals, because MLflow's page shows all digits


class Delivery:
    """Updates one job's MLflow run from the job's folder. All calls may be repeated."""

    def __init__(
        self, store: Store, sweep_mark: str, parent_id: str, job: PlannedJob, folder: JobFolder, system_metrics: bool
    ) -> None:
        """`sweep_mark` is unique to this sweep in the whole store; `parent_id` is the id of the sweep's MLflow run."""
        self._store, self._sweep_mark, self._parent_id = store, sweep_mark, parent_id
        self._job, self._folder, self._system_metrics = job, folder, system_metrics
        self.name = job.label
        self.fault = ""  # the reason why the folder cannot be delivered
        self._is_intact = False  # whether the job is finished and its files passed all checks
        self._run_id = ""
        self._attempt_time = 0  # when the attempt in the MLflow run began; 0: not looked up yet
        self._delivered_count = 0  # the number of delivered journal records
        self._has_ended = False
        self._refused_files = ""  # files that the store refuses, with the reasons
        self._monitor: SystemMetricsMonitor | None = None

    @property
    def undelivered_text(self) -> str:
        """The job's name and the number of epochs that its run lacks; empty if the run is complete."""
        records = self._folder.records()
        if not records or (self._has_ended and len(records) == self._delivered_count):
            return ""
        epochs = sum(record["kind"] == "epoch" for record in records[self._delivered_count :])
        return f"{self.name} ({epochs} epochs)" if epochs else self.name

    def deliver_new_records(self) -> None:
        """Deliver the new journal records, and the result once the job is finished."""
        if self._can_deliver() and not (self._has_ended and self._folder.finished):
            self._deliver_folder(is_last=False)

    def close(self) -> None:
        """Deliver all undelivered data and end the run, even if the job's process died without recording a result.

        Raises UndeliverableError, after the run has ended, if the store refuses some files for good.
        """
        if not self._can_deliver():
            for run in self._find_runs():
                if run.info.status == "RUNNING":
                    self._store.client.set_tag(run.info.run_id, "error", self.fault[:5000])
                    end_run(self._store.client, run.info.run_id, "FAILED", None)
            return
        self._deliver_folder(is_last=not is_locked(self._folder.path))  # no process writes to an unlocked folder
        if self._refused_files:
            raise UndeliverableError(self._refused_files)

    def _can_deliver(self) -> bool:
        """Return whether the folder can be delivered; if not, set `fault` to the reason."""
        if not self._is_intact:
            self.fault = unusable_reason(self._folder, self._job.key)
            self._is_intact = not self.fault and self._folder.finished
        return not self.fault

    def _deliver_folder(self, *, is_last: bool) -> None:
        if not self._folder.journal.exists():
            return
        with folder_lock(self._folder.path):  # two commands at the same time would create two runs
            try:
                self._deliver_records()
                if is_last and self._run_id and not self._has_ended:
                    self._end_failed_run("FAILED", "the job's process ended without a message", None)
            except Exception:
                self._attempt_time = 0  # the next call looks up the run again, because it may be deleted or new
                raise

    def _deliver_records(self) -> None:
        result = self._folder.result()  # read before the journal, which is complete once a result exists
        records = self._folder.records()
        if not records or records[0]["kind"] != "start":
            return
        if records[0]["time"] != self._attempt_time:
            self._find_or_create_run(records[0])
        if self._has_ended and len(records) == self._delivered_count:
            return
        if self._has_ended:
            self._reopen_run()
        self._send_new_records(records)
        if result is not None:
            self._end_finished_run(result, records)
        elif records[-1]["kind"] == "stop":
            self._end_failed_run(records[-1]["status"], records[-1]["error"], records[-1]["time"])

    def _find_or_create_run(self, start: Record) -> None:
        """Find or create the run of the job's current attempt, and hide the runs of its earlier attempts."""
        client, attempt = self._store.client, str(start["time"])
        tags = {
            "mlflow.parentRunId": self._parent_id,
            "mlflow.runName": self._job.label,
            "cell": self._job.cell,
            sweep_tag(self._sweep_mark): "true",
        }
        runs = self._find_runs()
        matches = [run for run in runs if run.data.tags.get("attempt") == attempt]
        if not matches:
            matches = self._store.adopt(self._store.find_old_runs(kind="job", job_key=self._job.key, attempt=attempt))
        if matches:
            run = max(matches, key=lambda run: run.info.status == "FINISHED")
        else:
            all_tags = {"kind": "job", "job_key": self._job.key, **tags, **job_tags(start)}
            run = client.get_run(self._store.create_run(start["time"], all_tags, self._job.label))
            runs = self._find_runs()  # find all runs: a request that was sent twice has created two
        run = self._store.place_files(run)
        remove_partial_files(run)
        self._run_id = run.info.run_id
        supersede_other_runs(client, runs, self._run_id)
        params = [Param(name, value) for name, value in self._job.params.items() if name not in run.data.params]
        changed_tags = [RunTag(name, value) for name, value in tags.items() if run.data.tags.get(name) != value]
        client.log_batch(self._run_id, params=params, tags=changed_tags)
        self._has_ended = run.info.status == "FINISHED" and "error" not in run.data.tags and self._has_all_files(run)
        self._delivered_count = len(self._folder.records()) if self._has_ended else 0
        if not self._has_ended:
            self._reopen_run()
        self._stop_monitor()
        if self._system_metrics and not self._folder.finished:  # a monitor ends when the store fails, so start another
            self._monitor = SystemMetricsMonitor(self._run_id, tracking_uri=self._store.uri, resume_logging=True)
            self._monitor.start()
        self._attempt_time = start["time"]

    def _reopen_run(self) -> None:
        """Set an ended run to RUNNING again, because its job was resumed or the run is incomplete."""
        self._has_ended = False
        self._store.client.update_run(self._run_id, status="RUNNING")
        if "error" in self._store.client.get_run(self._run_id).data.tags:
            self._store.client.delete_tag(self._run_id, "error")

    def _has_all_files(self, run: Run) -> bool:
        """Return whether the run of a finished job still has all files of the job."""
        result = self._folder.result()
        if result is None:
            return True
        images = dict.fromkeys(image_paths(self._job.key, result["finished"]))
        sizes = {name: (self._folder.path / name).stat().st_size for name in FinishedJob(self._folder).artifacts}
        return not missing_files(self._store.client, run.info.run_id, {**images, **sizes})

    def _stop_monitor(self) -> None:
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None

    def _find_runs(self) -> list[Run]:
        return self._store.find_runs(kind="job", job_key=self._job.key)

    def _send_new_records(self, records: list[Record]) -> None:
        """Deliver the journal records that the run does not have yet."""
        client, new_records = self._store.client, records[self._delivered_count :]
        client.log_batch(self._run_id, epoch_metrics(new_records))
        for record in new_records:
            if record["kind"] == "ready":
                client.log_inputs(self._run_id, [dataset_input(records[0]["config"]["data"]["name"], record["source"])])
                tags = [RunTag("parameters", str(record["parameters"]))]
                tags += [RunTag(f"env.{name}", value) for name, value in recorded_device(record).items()]
                client.log_batch(self._run_id, tags=tags)
        self._delivered_count = len(records)

    def _end_finished_run(self, result: dict[str, Any], records: list[Record]) -> None:
        """Deliver a finished job's final metrics and files, check that they arrived, and end the run."""
        client, finish_time = self._store.client, result["finished"]
        metrics_of_epochs = epoch_metrics(records)
        delivered = {metric.key for metric in metrics_of_epochs}
        names = [name for name in result["metrics"] if name not in delivered]
        final_metrics = [Metric(name, round(result["metrics"][name], DECIMALS), finish_time, 0) for name in names]
        client.log_batch(self._run_id, final_metrics, tags=[RunTag(*LOGGED_IMAGES_TAG)])
        with job_files(self._folder, self._job.key, finish_time) as files:
            self._refused_files = deliver_files(client, self._run_id, files)
        check_metrics(client, self._run_id, metrics_of_epochs + final_metrics)
        self._end_run("FINISHED", finish_time)

    def _end_failed_run(self, status: str, error: str, end_time: int | None) -> None:
        """End the run of a failed or stopped job; deliver the reason and the job's log."""
        self._store.client.set_tag(self._run_id, "error", error[:5000])
        self._refused_files = deliver_files(self._store.client, self._run_id, {"train.log": self._folder.log})
        self._end_run(status, end_time)

    def _end_run(self, status: str, end_time: int | None) -> None:
        self._stop_monitor()
        runs = self._find_runs()
        supersede_other_runs(self._store.client, runs, self._run_id)  # a request that timed out may have created a run
        own_data = [run.data for run in runs if run.info.run_id == self._run_id]
        if self._job.params.keys() - {name for run_data in own_data for name in run_data.params}:
            raise OSError("MLflow did not store the params")
        if status == "FINISHED" and any("error" in run_data.tags for run_data in own_data):  # set by another command
            self._store.client.delete_tag(self._run_id, "error")
        end_run(self._store.client, self._run_id, status, end_time)
        self._has_ended = True
