"""What runs: the grid, checked whole before its first job starts, then launched, tracked and compared."""

import importlib
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from src.bad_input import BadInput
from src.config import Config, SweepLimits
from src.console import SteadyConsole, say
from src.options import Data, Tracking, TrackingOption
from src.runs import identity
from src.runs.folder import SUPERSEDED, JobFolder, set_aside
from src.runs.integrity import job_faults
from src.runs.sweep import PlannedJob, Sweep
from src.stopping import Terminated
from src.storage.lock import is_owned
from src.storage.space import check_space
from src.storage.stored import exists
from src.sweep.command_line import resume_command, typed
from src.sweep.finish import report
from src.sweep.grid import GridJob, check_surroundings, grid_of
from src.sweep.pace import typical_seconds
from src.sweep.plan import Plan
from src.wording import joined

if TYPE_CHECKING:
    from src.tracking.session import Tracker

COMPARISON = "src.report.written"  # imports all that a comparison needs


@dataclass
class GridSweeperConf:
    """`hydra.sweeper`: `params` holds a preset's overrides; the shell's win over them."""

    _target_: str = "hydra_plugins.normlab.grid_sweeper.GridSweeper"
    params: dict[str, Any] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridSweeperConf, provider="normlab")


@runtime_checkable
class JobProcesses(Protocol):
    """What our launchers have and Hydra's own lack.

    Asked for by its methods: Hydra runs the modules of its plugins a second time when it scans them, and a class of the
    first time is not that of the second.
    """

    def prepare(self, data: Data) -> None:
        """Begin to import and to read what jobs need, while others do something else."""

    def places(self, threads: int, device: str) -> int:
        """How many jobs of so many threads each are trained at once."""


class GridSweeper(Sweeper):
    """Every combination of the values, each once."""

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._params = dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's call before `sweep`."""
        places = tuple(config.hydra.searchpath)
        self._grid = grid_of(hydra_context.config_loader, config.hydra.job.config_name, places)
        self._launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._multirun = Path(config.hydra.sweep.dir).parent

    def sweep(self, arguments: list[str]) -> None:
        """Train what is asked for; leaves by SystemExit where not all went well."""
        jobs = self._jobs(arguments)
        sweep = self._named(jobs)
        status = self._run(jobs, sweep, jobs[0].config)
        if status:
            sys.exit(status)

    def _jobs(self, arguments: list[str]) -> list[GridJob]:
        """The jobs, every one of them checked; duplicates are dropped, and that is said."""
        request = self._grid.request(arguments, self._params)
        self._check_number(request.number, request.config.sweep)
        combinations, configs = self._grid.configs(request)
        check_surroundings(configs[0])
        jobs = self._grid.jobs(combinations, configs)
        if len(jobs) < len(combinations):
            say(f"{len(combinations) - len(jobs)} of {len(combinations)} combinations are the same job as another one")
        return jobs

    def _check_number(self, number: int, sweep: SweepLimits) -> None:
        """Refuse a grid that was hardly meant, before it is expanded."""
        if number > sweep.max_jobs:
            seconds = typical_seconds(self._multirun / "jobs")
            cost = f", about {number * seconds / 3600:,.0f} hours at {seconds:.0f} s a job," if seconds else ""
            raise BadInput(
                f"{number:,} jobs{cost} are more than sweep.max_jobs={sweep.max_jobs}",
                "fewer values",
                f"sweep.max_jobs={number}",
            )

    def _named(self, jobs: Sequence[GridJob]) -> Sweep:
        """The sweep and its jobs by name."""
        varies, planned = self._grid.planned(jobs, self._multirun)
        return Sweep(
            id=identity.sweep_id(job.key for job in jobs),
            command=resume_command(typed()),
            started=time.time_ns() // 1_000_000,
            varies=varies,
            jobs=planned,
        )

    def _run(self, jobs: Sequence[GridJob], sweep: Sweep, config: Config) -> int:
        """Run what is not finished, track it, compare; returns the exit status.

        Whatever ends it, the runs in MLflow get their true status.  What is no part of a job is the same in all of them
        and read from `config`.
        """
        if config.plan:
            self._show_plan(jobs, sweep)
            return 0
        restart = config.resume == "restart"
        faults = {} if restart else job_faults(sweep, self._multirun)
        harmed = [job for job in sweep.jobs if job.key in faults]
        if restart:
            self._check_nobody_trains(sweep)
        to_train = len(harmed) + sum(
            restart or (job not in harmed and not self._folder(job).finished) for job in sweep.jobs
        )
        inside = [sweep.folder(self._multirun), *(self._folder(job).path for job in sweep.jobs)]
        check_space(self._multirun, to_train, inside)
        if to_train and isinstance(self._launcher, JobProcesses):
            self._launcher.prepare(config.data)  # while the store is opened
        tracker = self._tracker(config.tracking, sweep)
        status, delivered = 1, True
        try:
            if tracker:
                tracker.open()
            sweep.write(self._multirun)
            if restart:
                self._set_aside(sweep.jobs)
            self._say_plan(jobs, sweep, faults)
            self._set_aside(harmed)
            if to_train:  # the comparison takes 1.5 s to import: so long as jobs run, that costs nobody
                threading.Thread(target=importlib.import_module, args=(COMPARISON,), daemon=True).start()
            # Who stops does not wait for figures.
            status = self._launch(jobs, sweep) or report(sweep, self._multirun, changed=to_train > 0)
        except KeyboardInterrupt:
            status = 130
        except Terminated:
            status = 143
        finally:
            if tracker:
                delivered = tracker.close(stopped=status > 1)
        return status or (0 if delivered else 3)

    def _check_nobody_trains(self, sweep: Sweep) -> None:
        owned = [job.label for job in sweep.jobs if is_owned(self._folder(job).path)]
        if owned:
            raise _being_trained(owned)

    def _set_aside(self, jobs: Sequence[PlannedJob]) -> None:
        """The jobs' earlier attempts leave their place; what a kill here leaves, the same command goes on with."""
        there = [folder for job in jobs if exists((folder := self._folder(job)).path)]
        for folder in there:
            try:
                set_aside(folder, self._multirun)
            except BlockingIOError as error:  # begun since it was looked at
                raise _being_trained([folder.path.name]) from error
        if there:
            say(f"{len(there)} earlier attempts are in {self._multirun / SUPERSEDED} now")

    def _say_plan(self, jobs: Sequence[GridJob], sweep: Sweep, faults: Mapping[str, str]) -> None:
        """How many jobs there are, what of them is there or is not what one might think, and what the rest costs."""
        plan = Plan(sweep, jobs, self._multirun, faults)
        for line in [*plan.summary(), *plan.costs(self._places(jobs))]:
            say(line)

    def _places(self, jobs: Sequence[GridJob]) -> int:
        """How many jobs are trained at once; Hydra's own launcher has one place."""
        if not isinstance(self._launcher, JobProcesses):
            return 1
        return self._launcher.places(max(job.config.threads for job in jobs), jobs[0].config.device)

    def _show_plan(self, jobs: Sequence[GridJob], sweep: Sweep) -> None:
        """The whole plan, which is all that `plan=true` asks for: it goes where results go."""
        plan, console = Plan(sweep, jobs, self._multirun), SteadyConsole(soft_wrap=True)
        for line in [*plan.summary(), *plan.table(), *plan.costs(self._places(jobs)), "nothing was run: plan=true"]:
            console.print(line, highlight=False, markup=False)

    def _launch(self, jobs: Sequence[GridJob], sweep: Sweep) -> int:
        batch = [
            [*(f"{name}={value}" for name, value in job.overrides.items()), f"hydra.sweep.subdir={planned.folder}"]
            for job, planned in zip(jobs, sweep.jobs, strict=True)
            if not self._folder(planned).finished
        ]
        try:
            if batch:
                self._launcher.launch(batch, initial_job_idx=0)
        except KeyboardInterrupt:
            return self._stopped(sweep, 130)
        except Terminated:
            return self._stopped(sweep, 143)
        return 0

    def _stopped(self, sweep: Sweep, status: int) -> int:
        """Tell what is left and how to go on."""
        left = [job.label for job in sweep.jobs if not self._folder(job).finished]
        say(f"stopped; {len(left)} of {len(sweep.jobs)} jobs are left: {joined(left)}")
        say(f"  to go on, write: {sweep.command}")
        return status

    def _tracker(self, settings: TrackingOption, sweep: Sweep) -> "Tracker | None":
        if not isinstance(settings, Tracking):
            return None
        from src.tracking.session import Tracker  # imports mlflow, which a mistyped command does not wait for

        return Tracker(settings, sweep, self._multirun, say)

    def _folder(self, job: PlannedJob) -> JobFolder:
        return job.at(self._multirun)


def _being_trained(names: Sequence[str]) -> BadInput:
    what = f"resume=restart: another process trains {joined(names)}"
    return BadInput(what, "the end of that awaited, or gone on with", "resume=auto")
