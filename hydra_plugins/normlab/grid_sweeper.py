"""What runs: the grid, checked whole before its first job starts, then launched, tracked and compared."""

import copy
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from src.config import SECTIONS, Config, Tracking, check
from src.console import SteadyConsole
from src.overrides import check_overrides, expand, option_groups
from src.runs import identity
from src.runs.folder import JobFolder, PlannedJob, Sweep
from src.runs.naming import plan_job
from src.stopping import Terminated
from src.tracking.address import check_address

if TYPE_CHECKING:
    from src.data.images import Source
    from src.tracking.session import Tracker


@dataclass
class GridSweeperConf:
    """`hydra.sweeper`: `params` holds a preset's overrides; the shell's win over them."""

    _target_: str = "hydra_plugins.normlab.grid_sweeper.GridSweeper"
    params: dict[str, Any] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridSweeperConf, provider="normlab")


@dataclass(frozen=True)
class GridJob:
    """One point of the grid: its overrides as Hydra writes them, its configuration and its key."""

    overrides: Mapping[str, str]
    config: Config
    key: str

    @property
    def leaves(self) -> dict[str, Any]:
        """The leaves that decide what it computes."""
        return identity.job_leaves(self.config)


class GridSweeper(Sweeper):
    """Every combination of the values, each once."""

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._params = dict(params or {})
        self._console = SteadyConsole(stderr=True, soft_wrap=True)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's call before `sweep`."""
        self._loader = hydra_context.config_loader
        self._config = config
        self._parser = OverridesParser.create(config_loader=self._loader)
        self._launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._composed: dict[tuple[tuple[str, str], ...], DictConfig] = {}
        self._leaves: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
        self._groups = option_groups()
        self._multirun = Path(config.hydra.sweep.dir).parent

    def sweep(self, arguments: list[str]) -> None:
        """Train what is asked for; leaves by SystemExit where not all went well."""
        jobs = self._grid(arguments)
        sweep = self._plan(jobs)
        status = self._run(jobs, sweep)
        if status:
            sys.exit(status)

    def _grid(self, arguments: Sequence[str]) -> list[GridJob]:
        """The grid's jobs, every one of them checked; duplicates are dropped, and that is said."""
        from src.data.sizes import check_sizes
        from src.data.sources import describe

        typed = self._parser.parse_overrides(list(arguments))
        names = {override.key_or_group for override in typed}
        preset = self._parser.parse_overrides(
            [f"{name}={value}" for name, value in self._params.items() if name not in names]
        )
        check_overrides([*preset, *typed], self._groups)
        points = expand([*preset, *typed])
        configs = [self._compose(overrides) for overrides in points]
        for config in configs:
            check(config)
        self._check_surroundings(configs[0])
        sources: dict[str, Source] = {}  # of each dataset once: describing one may read or download it
        jobs: dict[str, GridJob] = {}
        for overrides, config in zip(points, configs, strict=True):
            data = repr(config.data)
            sources[data] = source = sources.get(data) or describe(config.data)
            check_sizes(config.data, source)
            key = identity.job_key(identity.identity(config, source.digest))
            jobs.setdefault(key, GridJob(overrides, config, key))
        if len(jobs) < len(points):
            self._say(f"{len(points) - len(jobs)} of {len(points)} combinations are the same job as another one")
        return list(jobs.values())

    def _check_surroundings(self, config: Config) -> None:
        """What all jobs share and no job can do without: the device and the store's address."""
        if config.device not in ("auto", "cpu"):
            from src.training.device import pick_device  # imports torch

            pick_device(config.device)
        if config.tracking.name != "none":
            check_address(config.tracking)

    def _compose(self, overrides: Mapping[str, str]) -> Config:
        """The configuration of one point.

        Hydra composes each combination of group choices once; single values are set on a copy, a hundred times faster,
        by the same typed nodes.
        """
        chosen = tuple((name, value) for name, value in overrides.items() if name in self._groups)
        if chosen not in self._composed:
            composed = self._loader.load_configuration(
                self._config.hydra.job.config_name, [f"{name}={value}" for name, value in chosen], RunMode.RUN
            )
            with open_dict(composed):
                del composed["hydra"]
            self._composed[chosen] = composed
        composed = copy.deepcopy(self._composed[chosen])
        for name, value in overrides.items():
            if name not in self._groups:
                OmegaConf.update(composed, name, self._parser.parse_override(f"{name}={value}").value())
        config = OmegaConf.to_object(composed)
        assert isinstance(config, Config)
        return config

    def _plan(self, jobs: Sequence[GridJob]) -> Sweep:
        """The sweep and its jobs by name: a job's name says in what it is not the default, whatever sweep it is in."""
        varies = identity.varying(job.leaves for job in jobs)
        planned = [plan_job(job.key, job.leaves, varies, self._unusual(job), self._multirun) for job in jobs]
        return Sweep(
            id=identity.sweep_id(job.key for job in jobs),
            command=shlex.join(["python", "-m", "src.train", *sys.argv[1:]]),
            started=time.time_ns() // 1_000_000,
            varies=varies,
            jobs=planned,
        )

    def _unusual(self, job: GridJob) -> list[str]:
        """The keys in which a job differs from what its choices of options come with, and choices not the default's."""
        names = [f"{section}.name" for section in SECTIONS]
        chosen = {name: value for name, value in job.overrides.items() if f"{name}.name" in names}
        default, plain = self._plain({}), self._plain(chosen)
        choices = [name for name in names if default.get(name) != job.leaves.get(name)]
        return [*choices, *identity.varying([plain, job.leaves])]

    def _plain(self, chosen: Mapping[str, str]) -> dict[str, Any]:
        """The leaves that a choice of options comes with."""
        key = tuple(chosen.items())
        if key not in self._leaves:
            self._leaves[key] = identity.job_leaves(self._compose(chosen))
        return self._leaves[key]

    def _run(self, jobs: Sequence[GridJob], sweep: Sweep) -> int:
        """Run what is not finished, track it, compare; returns the exit status.

        Whatever ends it, the runs in MLflow get their true status.
        """
        tracker = self._tracker(jobs[0].config.tracking, sweep)
        status, delivered = 1, True
        try:
            if tracker:
                tracker.open()
            sweep.write(self._multirun)
            finished = sum(self._folder(job).finished for job in sweep.jobs)
            varies = ", ".join(sweep.varies) or "nothing"
            self._say(f"sweep {sweep.id[:8]}: {len(sweep.jobs)} jobs, varying {varies}; {finished} finished before")
            status = self._launch(jobs, sweep)
            status = max(status, self._report(sweep))
        except KeyboardInterrupt:
            status = 130
        except Terminated:
            status = 143
        finally:
            if tracker:
                delivered = tracker.close(status)
        return status or (0 if delivered else 3)

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
            return 130
        except Terminated:
            return 143
        return 0

    def _report(self, sweep: Sweep) -> int:
        """The comparison, which names the jobs that have no result; returns 1 where there are such."""
        from src.compare import compare

        try:
            comparison = compare([sweep], self._multirun, sweep.folder(self._multirun), SteadyConsole())
        except Exception as error:  # the jobs are finished all the same: a full disk, say, must not hide that
            self._say(f"the comparison could not be made: {error}")
            return 1
        return int(bool(comparison.records.unfinished))

    def _tracker(self, settings: Tracking, sweep: Sweep) -> "Tracker | None":
        if settings.name == "none":
            return None
        from src.tracking.session import Tracker  # imports mlflow, which a mistyped command does not wait for

        return Tracker(settings, sweep, self._multirun, self._say)

    def _folder(self, job: PlannedJob) -> JobFolder:
        return JobFolder(self._multirun / "jobs" / job.folder)

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False)
