"""Creates, updates and ends a sweep's own run in MLflow, the parent of its jobs' runs."""

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path

from mlflow.entities import Metric, Run, RunTag
from mlflow.exceptions import MlflowException

from src.runs.folder import JobFolder
from src.runs.integrity import is_readable
from src.runs.sweep import VERDICT, Sweep
from src.storage.lock import is_locked
from src.storage.stored import DamagedFile, is_regular, read_stored
from src.tracking import views
from src.tracking.files import UndeliverableError, deliver_files, remove_partial_files
from src.tracking.runs import end_run, supersede_other_runs
from src.tracking.store import Store

PAGE_SIZE = 100  # MLflow's page loads this many runs at a time


class SweepRun:
    """A sweep's own run in an open store."""

    name = "the sweep's own run"  # its name in messages

    def __init__(self, store: Store, sweep: Sweep, multirun: Path) -> None:
        self._store, self._sweep, self._multirun = store, sweep, multirun
        # If several people share the experiment, the folder's name distinguishes their sweeps.
        self._title = f"{sweep.title} ({store.multirun.name})" if store.is_shared else sweep.title
        self.mark = views.sweep_mark(sweep.id, store.multirun.id)
        self.id = ""  # empty while the run is not open
        self._earlier_status = "KILLED"  # restored if the command ends before it trains a job
        self._start_time = 0  # the run's start in milliseconds since 1970
        self._seeds = len({job.params.get("seed") for job in sweep.jobs})

    def open(self) -> None:
        """Create the sweep's run, or reopen it if it exists."""
        client, sweep = self._store.client, self._sweep
        runs, creation_error = self._find_runs() or self._adopt_old_runs(), None
        if runs:
            self._earlier_status = runs[0].info.status
        else:
            try:
                self._store.create_run(sweep.started, {"kind": "sweep", "sweep_id": sweep.id}, self._title)
            except Exception as error:  # the run may exist although the answer was lost
                creation_error = error
            runs = self._find_runs()
        if not runs:
            raise creation_error or OSError("the store created a run, but does not show it")
        self.id, self._start_time = runs[0].info.run_id, runs[0].info.start_time
        remove_partial_files(self._store.place_files(runs[0]))
        supersede_other_runs(client, runs, self.id)
        client.update_run(self.id, status="RUNNING")
        self._write_description([])

    def _find_runs(self) -> list[Run]:
        return self._store.find_runs(kind="sweep", sweep_id=self._sweep.id)

    def _adopt_old_runs(self) -> list[Run]:
        """Adopt and return the sweep's runs without a folder id that are parents of runs of this folder's jobs."""
        runs = self._store.find_old_runs(kind="sweep", sweep_id=self._sweep.id)
        starts = [job.folder_in(self._multirun).records()[:1] for job in self._sweep.jobs] if runs else []
        times = {str(records[0].get("time")) for records in starts if records}
        parents = [(run, self._store.find_old_runs(**{"`mlflow.parentRunId`": run.info.run_id})) for run in runs]
        return self._store.adopt(run for run, jobs in parents if times & {job.data.tags.get("attempt") for job in jobs})

    def _write_description(self, verdict: list[str]) -> None:
        """Write the run's description, which starts with the verdict, because MLflow's page shows only four lines."""
        sweep = self._sweep
        summary = f"{len(sweep.jobs)} jobs (varied keys: {', '.join(sweep.varies) or 'none'})."
        text = "\n\n".join([*([" ".join(verdict)] if verdict else []), summary, f"    {sweep.command}"])
        tags = [RunTag("command", sweep.command), RunTag("mlflow.note.content", text)]
        if sweep.paper is not None:  # the first line of the verdict counts the claims that hold
            tags += [RunTag("paper", sweep.paper.name), *(RunTag("claims", line) for line in verdict[:1])]
        self._store.client.log_batch(self.id, tags=tags)

    def publish_views(self) -> None:
        """Save the views of the sweep in the experiment, and link them in the experiment's note."""
        store, sweep = self._store, self._sweep
        penalty = any(job.params.get(name, "0") != "0" for job in sweep.jobs for name in ("reg.l1", "reg.l2"))
        view_tags = views.sweep_views(
            self.mark, self._title, sweep.varies, sweep.started, self._seeds, penalty=penalty, images=len(sweep.jobs)
        )
        for name, value in view_tags.items():
            store.client.set_experiment_tag(store.experiment_id, name, value)
        tags = store.client.get_experiment(store.experiment_id).tags
        for name in views.surplus_view_tags(tags):
            with contextlib.suppress(MlflowException):  # another user may have deleted it first
                store.client.delete_experiment_tag(store.experiment_id, name)
        note = views.note_text(store.experiment_id, tags)
        store.client.set_experiment_tag(store.experiment_id, "mlflow.note.content", note)

    def lines_to_open_mlflow(self) -> list[str]:
        """Return the lines to print: the store's address or the command that opens it, and a link to each view."""
        kinds = {"curves": views.CURVES, "leaderboard": views.TABLE}
        if self._seeds > 1:
            kinds["means"] = views.CELLS
        store, lines, width = self._store, [f"to open MLflow: {self._store.address_or_command}"], max(map(len, kinds))
        server = store.uri.rstrip("/") if store.uri.startswith("http") else "http://127.0.0.1:5000"  # of `mlflow ui`
        for name, kind in kinds.items():
            link = views.view_link(store.experiment_id, views.view_key(self.mark, kind))
            lines.append(f"  {name:<{width}}  {server}/{link}")
        if len(self._sweep.jobs) > PAGE_SIZE:
            lines.append(f"  MLflow's page first shows and averages only {PAGE_SIZE} runs; click Load more")
        return lines

    def close(self) -> None:
        """Deliver the sweep's counts, verdict and files, and end the run. A second call changes nothing.

        Raises OSError if a file did not arrive, and UndeliverableError if the store refuses a file for good.
        """
        client, folder = self._store.client, self._sweep.folder(self._multirun)
        jobs = [folder for folder in (job.folder_in(self._multirun) for job in self._sweep.jobs) if is_readable(folder)]
        end_time = max(self._start_time, *(last_change_time(job) for job in jobs))
        counts = {
            "sweep/jobs": len(self._sweep.jobs),
            "sweep/finished": sum(job.finished for job in jobs),
            "sweep/failed": sum(job.failed for job in jobs),
        }
        client.log_batch(self.id, [Metric(name, value, end_time, 0) for name, value in counts.items()])
        if is_regular(folder / VERDICT):
            self._write_description(read_stored(folder / VERDICT).decode(errors="replace").splitlines())
        files = {path.name: path for path in sorted(folder.glob("[!.]*.*")) if is_regular(path)}
        undelivered = deliver_files(client, self.id, files)
        supersede_other_runs(client, self._find_runs(), self.id)
        if not any(is_locked(job.path) for job in jobs):  # otherwise the command that trains them ends the run
            end_run(client, self.id, final_status(jobs, self._sweep.started), end_time)
        if undelivered:
            raise UndeliverableError(undelivered)

    def abandon(self, patience: float) -> None:
        """Restore the run's earlier status, because the command ends before it trains a job; waits `patience` seconds.

        If the earlier status was RUNNING and no command trains the sweep's jobs, the status becomes KILLED.
        """
        is_training = any(is_locked(job.folder_in(self._multirun).path) for job in self._sweep.jobs)
        status = self._earlier_status if is_training or self._earlier_status != "RUNNING" else "KILLED"

        def restore() -> None:
            with contextlib.suppress(Exception):  # a store may raise any error
                if status == "RUNNING":
                    self._store.client.update_run(self.id, status=status)
                else:
                    self._store.client.set_terminated(self.id, status)

        if self.id:
            thread = threading.Thread(target=restore, daemon=True)
            thread.start()
            thread.join(patience)
            self.id = ""


def final_status(jobs: Sequence[JobFolder], started: int) -> str:
    """Return MLflow's status for a sweep that no process trains: FINISHED, FAILED or KILLED.

    An earlier command wrote the stop records before `started`, which is in milliseconds since 1970.
    """
    unfinished = [job for job in jobs if not job.finished]
    if not unfinished:
        return "FINISHED"
    last_records = [records[-1] for job in unfinished if (records := job.records())]
    was_stopped = any(record.get("status") == "KILLED" and record["time"] >= started for record in last_records)
    was_launched = last_records or any(job.never_started for job in unfinished)
    return "KILLED" if was_stopped or not was_launched else "FAILED"


def last_change_time(job: JobFolder) -> int:
    """Return the time of a job's last record or result, in milliseconds since 1970; 0 if it has neither."""
    times = [record["time"] for record in job.records()[-1:]]
    with contextlib.suppress(DamagedFile):
        times += [result["finished"]] if (result := job.result()) else []
    return max(times, default=0)
