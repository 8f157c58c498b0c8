"""A Hydra sweeper for grids: checks the whole grid before the first job starts, then trains, tracks and compares."""

import functools
import importlib
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from src.bad_input import BadInput
from src.config import Config
from src.console import SteadyConsole, say
from src.options import Tracking
from src.runs import identity
from src.runs.folder import SUPERSEDED, JobFolder, set_aside_folder
from src.runs.integrity import job_faults
from src.runs.naming import job_name
from src.runs.paper_schema import parse_paper
from src.runs.sweep import PlannedJob, Sweep
from src.stopping import Terminated
from src.storage.lock import is_locked
from src.storage.space import check_space
from src.storage.stored import exists
from src.sweep.command_line import command_to_repeat
from src.sweep.dataset_lines import dataset_lines
from src.sweep.finish import compare_sweep
from src.sweep.grid import GridJob, check_device_and_store, make_grid
from src.sweep.notes import note_lines
from src.sweep.plan import Plan
from src.wording import counted, joined
from src.workers.queue import Task

COMPARISON_MODULE = "src.report.report"  # importing this module imports everything that a comparison needs


@dataclass
class GridSweeperConf:
    """The keys of `hydra.sweeper`; `params` holds a preset's overrides, which typed words replace.

    A preset of a paper also has the overrides `full` for `scale=full`, and its figure and claims in `paper`.
    """

    _target_: str = "hydra_plugins.normlab.grid_sweeper.GridSweeper"
    params: dict[str, Any] | None = None
    full: dict[str, Any] | None = None
    paper: dict[str, Any] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridSweeperConf, provider="normlab")


class GridSweeper(Sweeper):
    """Trains every requested combination once."""

    def __init__(
        self,
        params: Mapping[str, Any] | None = None,
        full: Mapping[str, Any] | None = None,
        paper: DictConfig | None = None,
    ) -> None:
        super().__init__()
        self._params, self._full = dict(params or {}), dict(full or {})
        self._stated_paper: Any = OmegaConf.to_container(paper) if paper is not None else None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Prepare for `sweep`; Hydra calls this method first."""
        self._grid = make_grid(hydra_context.config_loader, config)
        self._new_launcher = functools.partial(
            Plugins.instance().instantiate_launcher,
            hydra_context=hydra_context,
            task_function=task_function,
            config=config,
        )
        self._launcher: Any = self._new_launcher()
        # Hydra imports plugin modules twice, so `isinstance` fails; the methods show whether the launcher is normlab's.
        self._uses_normlab_launcher = hasattr(self._launcher, "train") and hasattr(self._launcher, "slots")
        self._multirun = Path(config.hydra.sweep.dir).parent
        self._paper = None
        if self._stated_paper is not None:
            name = config.hydra.runtime.choices.get("paper") or "the preset"
            self._paper = parse_paper(name, self._stated_paper)

    def sweep(self, arguments: list[str]) -> None:
        """Run the sweep; exits with a status other than 0 if anything failed."""
        request = self._grid.parse_request(arguments, self._params, self._full)
        request.check_job_count(self._multirun)
        combinations, configs = self._grid.compose_all(request)
        check_device_and_store(configs[0])
        jobs = self._grid.make_jobs(combinations, configs)
        if len(jobs) < len(combinations):
            say(f"{len(combinations) - len(jobs)} of {len(combinations)} combinations repeat others and are skipped")
        if request.looks and len(jobs) == request.looks[-1]:
            problem = "seeds=auto trains more seeds until it can compare the methods, but the command has one method"
            raise BadInput(problem, "two or more combinations", "-m norm=bn,gn,ln seeds=auto")
        if jobs[0].config.plan:  # keys that do not affect results, such as `plan`, have one value for all jobs
            self._print_plan(jobs, request.looks)
        elif exit_status := self._run_looks(jobs, request.looks) if request.looks else self._run_sweep(jobs)[0]:
            sys.exit(exit_status)

    def _make_sweep(self, jobs: Sequence[GridJob]) -> Sweep:
        varying_keys, planned_jobs = self._grid.plan_jobs(jobs, self._multirun)
        sweep_id, launch_time = identity.sweep_id(job.key for job in jobs), time.time_ns() // 1_000_000
        return Sweep(sweep_id, command_to_repeat(), launch_time, varying_keys, planned_jobs, self._paper)

    def _print_plan(self, jobs: Sequence[GridJob], looks: Sequence[int]) -> None:
        """Print the jobs with their status and costs; with seeds=auto, only the jobs of the first look."""
        first_jobs = [job for job in jobs if job.config.seed < looks[0]] if looks else jobs
        plan, console = Plan(self._make_sweep(first_jobs), first_jobs, self._multirun), SteadyConsole(soft_wrap=True)
        lines = [*plan.summary_lines(), *dataset_lines(first_jobs), *plan.table_lines()]
        lines += [*plan.cost_lines(*self._places(first_jobs)), *note_lines([job.config for job in first_jobs])]
        if looks[1:]:
            later_jobs = counted(len(jobs) - len(first_jobs), "job")
            later_looks = joined([str(seeds) for seeds in looks[1:]])
            lines.append(f"seeds=auto: looks at {later_looks} seeds add at most {later_jobs}, if a question stays open")
        for line in [*lines, "dry run (plan=true): nothing was trained"]:
            console.print(line, highlight=False, markup=False)

    def _run_looks(self, jobs: Sequence[GridJob], looks: Sequence[int]) -> int:
        """Train and compare more and more seeds until every question is decided; returns the exit status."""
        exit_status, is_delivered, known_keys = 0, True, set[str]()
        for number, seeds in enumerate(looks, start=1):
            look_jobs = [  # resume=restart retrains a job only once
                replace(job, config=replace(job.config, resume="auto")) if job.key in known_keys else job
                for job in jobs
                if job.config.seed < seeds
            ]
            known_keys = {job.key for job in look_jobs}
            self._launcher = self._new_launcher()  # a launcher counts failures, here those of one look
            title = f"look {number} of at most {len(looks)}: {seeds} seeds"
            exit_status, needs_more_seeds = self._run_sweep(look_jobs, title, looks)
            is_delivered &= exit_status != 3
            if not needs_more_seeds:
                break
        return exit_status or (0 if is_delivered else 3)

    def _run_sweep(self, jobs: Sequence[GridJob], title: str = "", looks: Sequence[int] = ()) -> tuple[int, bool]:
        """Train the unfinished jobs, track them and compare them as one sweep.

        `title` and `looks` belong to seeds=auto.  Returns the exit status, and whether more seeds are useful: a
        question is open, and no job is left to train.
        """
        sweep, config = self._make_sweep(jobs), jobs[0].config
        pairs = list(zip(sweep.jobs, jobs, strict=True))
        restarted = [job for job, item in pairs if item.config.resume == "restart"]
        if locked_labels := [job.label for job in restarted if is_locked(self._folder(job).path)]:
            raise _restart_refusal(locked_labels)
        kept = [job for job, item in pairs if item.config.resume != "restart"]
        faults = job_faults(replace(sweep, jobs=kept), self._multirun)
        left = [item for job, item in pairs if job in restarted or job.key in faults or not self._folder(job).finished]
        folders = [sweep.folder(self._multirun), *(self._folder(job).path for job in sweep.jobs)]
        check_space(self._multirun, [item.disk_bytes() for item in left], folders)
        if left and self._uses_normlab_launcher:
            self._launcher.prepare(config.data)  # runs in the background while the MLflow store opens
        tracker, exit_status, is_open, is_delivered = None, 1, False, True
        if isinstance(config.tracking, Tracking):
            from src.tracking.session import Tracker  # imports mlflow, which a mistyped command must not wait for

            tracker = Tracker(config.tracking, sweep, self._multirun, say)
        try:
            if tracker:
                tracker.open()
            sweep.write(self._multirun)
            self._set_aside_folders(restarted)
            plan, (at_once, gpus) = Plan(sweep, jobs, self._multirun, faults), self._places(jobs)
            for line in filter(None, [title, *plan.summary_lines(), plan.time_line(at_once, gpus)]):
                say(line)
            self._set_aside_folders([job for job in sweep.jobs if job.key in faults])
            if left:  # importing the comparison takes 1.5 s, which costs nothing while jobs run
                threading.Thread(target=importlib.import_module, args=(COMPARISON_MODULE,), daemon=True).start()
            self._train_unfinished_jobs(jobs, sweep)
            equal, changed = config.compare.equal, bool(left)
            exit_status, is_open = compare_sweep(sweep, self._multirun, equal, changed=changed, planned_looks=looks)
        except (KeyboardInterrupt, Terminated) as stop:
            exit_status = 143 if isinstance(stop, Terminated) else 130
            names = [job_name(item.settings, sweep.varies) for job, item in pairs if not self._folder(job).finished]
            say(f"stopped; {len(names)} of {len(sweep.jobs)} jobs are left{': ' if names else ''}{joined(names, 5)}")
            say(f"  to resume, run: {sweep.command}")
        finally:  # MLflow gets every run's true status, even if an error ends the sweep
            if tracker:
                is_delivered = tracker.close(stopped=exit_status > 1)
        return exit_status or (0 if is_delivered else 3), is_open and self._all_ended(sweep, config)

    def _all_ended(self, sweep: Sweep, config: Config) -> bool:
        """Whether every job finished or failed, and no failure stopped the sweep."""
        unfinished = [folder for job in sweep.jobs if not (folder := self._folder(job)).finished]
        return not unfinished or (config.sweep.on_failure == "continue" and all(job.failed for job in unfinished))

    def _train_unfinished_jobs(self, jobs: Sequence[GridJob], sweep: Sweep) -> None:
        pairs = zip(jobs, map(self._folder, sweep.jobs), strict=True)
        left = [(job, folder) for job, folder in pairs if not folder.finished]
        if left and self._uses_normlab_launcher:
            tasks = [Task(job_name(job.settings, sweep.varies), job.config, folder.path) for job, folder in left]
            self._launcher.train(tasks)
        elif left:  # Hydra's own launchers compose each job again
            overrides = [{**job.overrides, "hydra.sweep.subdir": folder.path.name} for job, folder in left]
            words = [[f"{name}={value}" for name, value in values.items()] for values in overrides]
            self._launcher.launch(words, initial_job_idx=0)

    def _set_aside_folders(self, jobs: Sequence[PlannedJob]) -> None:
        """Move the existing folders of jobs to the folder for superseded attempts."""
        folders = [folder for job in jobs if exists((folder := self._folder(job)).path)]
        for folder in folders:
            try:
                set_aside_folder(folder, self._multirun)
            except BlockingIOError as error:  # another process has just started to train this job
                raise _restart_refusal([folder.path.name]) from error
        if folders:
            say(f"moved {counted(len(folders), 'earlier attempt')} to {self._multirun / SUPERSEDED}")

    def _places(self, jobs: Sequence[GridJob]) -> tuple[int, str]:
        """Return how many jobs run at once, and on which GPUs; Hydra's own launcher runs one at a time."""
        if not self._uses_normlab_launcher:
            return 1, ""
        request = max(job.config.threads for job in jobs), jobs[0].config
        return self._launcher.slots(*request), self._launcher.gpus(*request)

    def _folder(self, job: PlannedJob) -> JobFolder:
        return job.folder_in(self._multirun)


def _restart_refusal(names: Sequence[str]) -> BadInput:
    problem = f"resume=restart is not possible while another process trains {joined(names, 5)}"
    return BadInput(problem, "restart after that process has ended", "resume=auto")
