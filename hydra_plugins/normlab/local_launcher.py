"""A Hydra launcher that trains jobs on this machine: one process per job, as many at once as cores or GPUs allow."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from src.bad_input import BadInput
from src.config import Config
from src.datasets import Data
from src.runs.folder import JobFolder
from src.stopping import JobFailed
from src.sweep.grid import make_grid
from src.sweep.trials import Trials
from src.wording import counted
from src.workers.board import Board
from src.workers.gpu import GpuEngine
from src.workers.gpu_worker import MAX_JOBS_PER_GPU
from src.workers.machine import gpus_text, shares_gpus, worker_environments
from src.workers.processes import LocalEngine, start_fork_server
from src.workers.queue import Engine, FailurePolicy, Outcome, Task, run_tasks


@dataclass
class LocalLauncherConf:
    """The keys of `hydra.launcher`; by default one worker per GPU, or as many as the cores allow at `threads` each.

    A worker on a GPU trains `jobs_per_gpu` jobs at once.
    """

    _target_: str = "hydra_plugins.normlab.local_launcher.LocalLauncher"
    workers: int | None = None
    jobs_per_gpu: int = 8


ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalLauncherConf, provider="normlab")


class LocalLauncher(Launcher):
    """Trains jobs on the local engine; launchers for other engines override `start_engine`, `places` and `is_local`."""

    is_local = True  # whether the jobs are child processes of this command

    def __init__(self, workers: int | None = None, jobs_per_gpu: int = 8) -> None:
        if workers is not None and workers < 1:
            problem = f"hydra.launcher.workers={workers} cannot be used"
            raise BadInput(problem, "an integer >= 1", "hydra.launcher.workers=1")
        if not 1 <= jobs_per_gpu <= MAX_JOBS_PER_GPU:
            problem = f"hydra.launcher.jobs_per_gpu={jobs_per_gpu} cannot be used"
            raise BadInput(problem, f"an integer from 1 to {MAX_JOBS_PER_GPU}", "hydra.launcher.jobs_per_gpu=8")
        self._workers, self._jobs_per_gpu = workers, jobs_per_gpu
        self._policy: FailurePolicy | None = None  # shared by all batches of a search

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Prepare for `launch`; Hydra calls this method.  `src/job.py` trains jobs, not `task_function`."""
        self._make_grid = functools.partial(make_grid, hydra_context.config_loader, config)
        self._multirun, self._task_name = Path(config.hydra.sweep.dir).parent, config.hydra.job.name

    @functools.cached_property
    def _trials(self) -> Trials:
        return Trials(self._make_grid(), self._multirun)

    def prepare(self, data: Data) -> None:
        """Start to import modules and read images for local jobs, in the background."""
        if self.is_local:
            start_fork_server(data)

    def slots(self, threads: int, config: Config) -> int:
        """Return how many jobs of `threads` threads run at once, given the configuration of one of them."""
        return len(worker_environments(self._workers, threads, config.device)) * self.places(config)

    def places(self, config: Config) -> int:
        """Return how many jobs a worker trains at once."""
        return self._jobs_per_gpu if shares_gpus(config) else 1

    def gpus(self, threads: int, config: Config) -> str:
        """Return the GPUs of this machine that jobs use, such as `1 GPU (NVIDIA H200)`, or an empty string."""
        return gpus_text(worker_environments(self._workers, threads, config.device), config) if self.is_local else ""

    @contextlib.contextmanager
    def start_engine(self, threads: int, config: Config) -> Iterator[Engine]:
        """Yield the engine for a batch of jobs with `threads` threads each, given the configuration of one of them."""
        environments = worker_environments(self._workers, threads, config.device)
        yield GpuEngine(environments, self._jobs_per_gpu) if shares_gpus(config) else LocalEngine(environments)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train a batch of another sweeper, such as Optuna; returns the validation accuracies (0 to 1) in its order."""
        combinations = [dict(word.split("=", 1) for word in overrides) for overrides in job_overrides]
        with self._trials.track_batch(combinations) as tasks:
            errors = {outcome.task.folder: outcome.error for outcome in self.train(tasks)}
        return [
            self._make_job_return(overrides, task, errors.get(task.folder, "the job was not started"))
            for overrides, task in zip(job_overrides, tasks, strict=True)
        ]

    def train(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Train each task once; returns the outcomes of those that were started."""
        tasks = list({task.folder: task for task in tasks}.values())
        config = tasks[0].config
        policy = self._policy = self._policy or FailurePolicy(config.sweep)
        if policy.stop_reason:  # an earlier batch has stopped the search
            return []
        self.prepare(config.data)
        threads = max(task.config.threads for task in tasks)
        with Board(len(tasks)) as board, self.start_engine(threads, config) as engine:
            outcomes = list(run_tasks(engine, tasks, policy.may_continue_after, board))
        if policy.stop_reason:
            board.say(f"{policy.stop_reason}; {counted(len(tasks) - len(outcomes), 'job')} did not start")
        return outcomes

    def _make_job_return(self, overrides: Sequence[str], task: Task, error: str) -> JobReturn:
        job_return = JobReturn(overrides=overrides, working_dir=str(task.folder), task_name=self._task_name)
        result = None if error else JobFolder(task.folder).result()
        if result is None:
            job_return.status, job_return.return_value = JobStatus.FAILED, JobFailed(f"{task.name}: {error}")
        else:
            job_return.status, job_return.return_value = JobStatus.COMPLETED, result["metrics"]["val/accuracy"]
        return job_return
