"""Where it runs: processes on this machine, one a job, as many at once as it has room for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from src.bad_input import BadInput
from src.options import Data
from src.runs.folder import JobFolder
from src.stopping import JobFailed
from src.sweep.grid import grid_of
from src.sweep.trials import Trials, task_in
from src.workers.board import Board
from src.workers.places import divide
from src.workers.policy import Policy
from src.workers.processes import Audience, Outcome, Task, Workers, start_server

SUBDIR = "hydra.sweep.subdir"  # Hydra's key for a job's folder, which our sweeper names


@dataclass
class LocalLauncherConf:
    """`hydra.launcher`: how many jobs at once; null takes one a GPU, else the cores divided by a job's threads."""

    _target_: str = "hydra_plugins.normlab.local_launcher.LocalLauncher"
    workers: int | None = None


ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalLauncherConf, provider="normlab")


class LocalLauncher(Launcher):
    """Hydra's interface to `src/workers/processes.py`."""

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise BadInput(
                f"hydra.launcher.workers={workers} cannot be used", "an integer >= 1", "hydra.launcher.workers=1"
            )
        self._workers = workers
        self._policy: Policy | None = None  # of all batches that a sweeper launches

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's call before `launch`; a job is always `src/job.py`'s, so the task function is not needed."""
        places = tuple(config.hydra.searchpath)
        self._grid = grid_of(hydra_context.config_loader, config.hydra.job.config_name, places)
        self._jobs, self._task_name = Path(config.hydra.sweep.dir), config.hydra.job.name
        self._trials = Trials(self._grid, self._jobs.parent)

    def prepare(self, data: Data) -> None:
        """Begin to import and to read what jobs need, while others do something else."""
        start_server(data)

    def places(self, threads: int, device: str) -> int:
        """How many jobs of so many threads each are trained at once."""
        return len(divide(self._workers, threads, device))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train every job; the objectives are validation accuracies, from 0 to 1, in the jobs' order.

        Hydra would compose each job for 76 ms; the grid's own composer makes the same of it in less than one.
        """
        points = [dict(word.split("=", 1) for word in overrides) for overrides in job_overrides]
        if any(SUBDIR not in point for point in points):  # another sweeper's, which knows nothing of folders
            with self._trials.tracked(points) as tasks:
                outcomes = self._train(tasks)
        else:
            tasks = [self._task(point) for point in points]
            outcomes = self._train(tasks)
        became = {outcome.task.folder: outcome.error for outcome in outcomes}
        return [
            self._returned(overrides, task, became.get(task.folder, "it was not begun"))
            for overrides, task in zip(job_overrides, tasks, strict=True)
        ]

    def _task(self, point: Mapping[str, str]) -> Task:
        config = self._grid.compose({name: value for name, value in point.items() if name != SUBDIR})
        return task_in(self._jobs / point[SUBDIR], config)

    def _train(self, tasks: Sequence[Task]) -> list[Outcome]:
        """What became of the tasks that were begun, each of them once."""
        tasks = list({task.folder: task for task in tasks}.values())
        stop = self._policy = self._policy or Policy(tasks[0].config.sweep)
        if stop.reason:  # in an earlier batch
            return []
        self.prepare(tasks[0].config.data)
        with Board(len(tasks)) as board:
            outcomes = list(self._outcomes(tasks, stop.go_on, board))
        if stop.reason:
            board.say(f"{stop.reason}: {len(tasks) - len(outcomes)} jobs were not begun")
        return outcomes

    def _outcomes(
        self, tasks: Sequence[Task], go_on: Callable[[Outcome], bool], audience: Audience
    ) -> Iterator[Outcome]:
        """The outcomes as they come; `go_on` says after each whether further tasks are begun."""
        environments = divide(self._workers, max(task.config.threads for task in tasks), tasks[0].config.device)
        return Workers(environments[: len(tasks)], audience).run(tasks, go_on)

    def _returned(self, overrides: Sequence[str], task: Task, error: str) -> JobReturn:
        returned = JobReturn(overrides=overrides, working_dir=str(task.folder), task_name=self._task_name)
        result = None if error else JobFolder(task.folder).result()
        if error or result is None:
            returned.status, returned.return_value = JobStatus.FAILED, JobFailed(f"{task.name}: {error}")
        else:
            returned.status, returned.return_value = JobStatus.COMPLETED, result["metrics"]["val/accuracy"]
        return returned
