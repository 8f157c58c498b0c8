"""A sweep's own run in MLflow, the parent of its jobs': opened, described, given its views and files, and ended."""

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path

from mlflow.entities import Metric, Run, RunTag
from mlflow.exceptions import MlflowException

from src.runs.folder import JobFolder
from src.runs.integrity import is_readable
from src.runs.sweep import VERDICT, Sweep
from src.storage.lock import is_owned
from src.storage.stored import Damaged, is_regular, read_stored
from src.tracking import views
from src.tracking.ending import supersede, terminate
from src.tracking.files import LACKS, Undelivered, check_files, remove_partial_files, send_files
from src.tracking.store import Store

LOADED = 100  # runs that MLflow's page asks for at a time


class SweepRun:
    """The run of one sweep in an open store."""

    def __init__(self, store: Store, sweep: Sweep, multirun: Path) -> None:
        self._store, self._sweep, self._multirun = store, sweep, multirun
        self.mark = views.sweep_mark(sweep.id, store.multirun.id)
        self.id = ""  # while it is not open
        self._before = "KILLED"  # the status that it goes back to where nothing comes of the command
        self._began = 0  # milliseconds since 1970

    @property
    def title(self) -> str:
        """The sweep's, and whose it is where several people share the experiment."""
        return f"{self._sweep.title} ({self._store.multirun.name})" if self._store.shared else self._sweep.title

    def open(self) -> None:
        """Make it, or take it up again where the same sweep has one."""
        client, sweep = self._store.client, self._sweep
        found, lost = self._store.find(kind="sweep", sweep_id=sweep.id) or self._old_runs(), None
        if found:
            self._before = found[0].info.status
        else:
            tags = {"kind": "sweep", "sweep_id": sweep.id}
            try:
                self._store.create_run(sweep.started, tags, self.title)
            except Exception as error:  # the run may be there all the same, and only the answer lost
                lost = error
            found = self._store.find(kind="sweep", sweep_id=sweep.id)
        if not found:
            raise lost or OSError("it does not show the run that was made")
        self.id, self._began = found[0].info.run_id, found[0].info.start_time
        remove_partial_files(self._store.place_files(found[0]))
        for ghost in found[1:]:
            supersede(client, ghost)
        client.update_run(self.id, status="RUNNING")
        self._describe([])

    def _old_runs(self) -> list[Run]:
        """The sweep's runs that were made before folders had an identity, if jobs of this folder belong to them."""
        found = self._store.find_old(kind="sweep", sweep_id=self._sweep.id)
        begun = [job.at(self._multirun).records()[:1] for job in self._sweep.jobs] if found else []
        attempts = {str(records[0].get("time")) for records in begun if records}
        mine = []
        for run in found:
            jobs = self._store.find_old(**{"`mlflow.parentRunId`": run.info.run_id})
            if any(job.data.tags.get("attempt") in attempts for job in jobs):
                self._store.adopt(run)
                mine.append(run)
        return mine

    def _describe(self, verdict: list[str]) -> None:
        """What the run's page says of the sweep; it shows four lines before it is opened."""
        sweep = self._sweep
        what = f"{len(sweep.jobs)} jobs, varying {', '.join(sweep.varies) or 'nothing'}."
        text = "\n\n".join([*([" ".join(verdict)] if verdict else []), what, f"    {sweep.command}"])
        tags = [RunTag("command", sweep.command), RunTag("mlflow.note.content", text)]
        self._store.client.log_batch(self.id, tags=tags)

    def publish_views(self) -> None:
        """Save the sweep's views and link them from the experiment's note; the page works without, if poorly."""
        store, sweep = self._store, self._sweep
        seeds = {job.params.get("seed") for job in sweep.jobs}
        strengths = {job.params.get(name, "0") for job in sweep.jobs for name in ("reg.l1", "reg.l2")}
        made = views.sweep_views(
            self.mark,
            self.title,
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
            with contextlib.suppress(MlflowException):  # somebody else who shares the experiment was faster
                store.client.delete_experiment_tag(store.experiment_id, name)
        text = views.note(store.experiment_id, tags)
        store.client.set_experiment_tag(store.experiment_id, "mlflow.note.content", text)

    def pages(self) -> list[str]:
        """How to see the sweep, a line a view."""
        seeds = {job.params.get("seed") for job in self._sweep.jobs}
        kinds = {"curves": views.CURVES, "leaderboard": views.TABLE}
        if len(seeds) > 1:
            kinds["means"] = views.CELLS
        links = {name: self._store.page(views.view_key(self.mark, kind)) for name, kind in kinds.items()}
        wide = max(map(len, links))
        lines = [f"in MLflow: {self._store.command}", *(f"  {name:<{wide}}  {link}" for name, link in links.items())]
        if len(self._sweep.jobs) > LOADED:
            lines.append(f"  its page loads {LOADED} runs at a time, and means are of those: Load more, below the list")
        return lines

    def close(self) -> None:
        """Give it the sweep's numbers, verdict and files, and end it.

        How and when the sweep has ended is told by the jobs' folders, so that to do this again changes nothing.

        Raises:
            OSError: where a file did not arrive.
            Undelivered: after the run has ended, naming the files that the store refuses for good.
        """
        client, folder = self._store.client, self._sweep.folder(self._multirun)
        jobs = [job for job in (planned.at(self._multirun) for planned in self._sweep.jobs) if is_readable(job)]
        ended = max(self._began, *(last_time(job) for job in jobs))
        counts = {
            "sweep/jobs": len(self._sweep.jobs),
            "sweep/finished": sum(job.finished for job in jobs),
            "sweep/failed": sum(job.failed for job in jobs),
        }
        client.log_batch(self.id, [Metric(name, value, ended, 0) for name, value in counts.items()])
        if is_regular(folder / VERDICT):
            self._describe(read_stored(folder / VERDICT).decode(errors="replace").splitlines())
        files = {path.name: path for path in sorted(folder.glob("[!.]*.*")) if is_regular(path)}
        sizes = {name: path.stat().st_size for name, path in files.items()}
        lacks = send_files(client, self.id, files)
        check_files(client, self.id, {name: size for name, size in sizes.items() if name not in lacks})
        told = "; ".join(f"{name}: {reason}" for name, reason in lacks.items())
        if lacks:
            client.set_tag(self.id, LACKS, told[:5000])
        elif LACKS in client.get_run(self.id).data.tags:
            client.delete_tag(self.id, LACKS)
        for run in self._store.find(kind="sweep", sweep_id=self._sweep.id):
            if run.info.run_id != self.id:
                supersede(client, run)  # made by a request that the store took up late
        if not any(is_owned(job.path) for job in jobs):  # otherwise whoever trains them will end it
            terminate(client, self.id, how_ended(jobs, self._sweep.started), ended)
        if lacks:
            raise Undelivered(told)

    def abandon(self, patience: float) -> None:
        """Stopped or refused before anything ran: it gets the status back that it had, if that can be had in seconds.

        Where it was RUNNING, another command trains its jobs, or was killed and this one ends the run in its place.
        """
        trained = any(is_owned(job.at(self._multirun).path) for job in self._sweep.jobs)
        status = self._before if trained or self._before != "RUNNING" else "KILLED"

        def end() -> None:
            with contextlib.suppress(Exception):  # whatever a store may raise
                if status == "RUNNING":
                    self._store.client.update_run(self.id, status=status)
                else:
                    self._store.client.set_terminated(self.id, status)

        if self.id:
            ending = threading.Thread(target=end, daemon=True)
            ending.start()
            ending.join(patience)
            self.id = ""


def how_ended(jobs: Sequence[JobFolder], started: int) -> str:
    """MLflow's word for how a sweep has ended, of jobs that nobody trains any more.

    Args:
        jobs: all of its folders.
        started: when it was asked for last, in milliseconds since 1970: who stopped a job before, stopped another
            command.
    """
    unfinished = [job for job in jobs if not job.finished]
    if not unfinished:
        return "FINISHED"
    last = [records[-1] for job in unfinished if (records := job.records())]
    stopped = any(record.get("status") == "KILLED" and record["time"] >= started for record in last)
    begun = last or any(job.never_started for job in unfinished)
    return "KILLED" if stopped or not begun else "FAILED"


def last_time(job: JobFolder) -> int:
    """When a job was last heard of, in milliseconds since 1970; 0 for one that was not begun."""
    times = [record["time"] for record in job.records()[-1:]]
    with contextlib.suppress(Damaged):
        times += [result["finished"]] if (result := job.result()) else []
    return max(times, default=0)
