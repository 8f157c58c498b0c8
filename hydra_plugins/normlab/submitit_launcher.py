"""submitit's executors, processes on this machine or jobs of Slurm, as places to train."""

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.normlab.engine_launcher import EngineLauncher
from src.bad_input import BadInput
from src.command import typed_path
from src.config import Config
from src.workers.engines import train_here
from src.workers.places import cores


@dataclass
class SubmititLauncherConf:
    """`hydra.launcher`; the keys are explained in `conf/hydra/launcher/submitit_*.yaml`."""

    _target_: str = "hydra_plugins.normlab.submitit_launcher.SubmititLauncher"
    executor: str = "local"
    workers: int | None = None
    folder: str = "multirun/submitit"
    timeouts: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(
    group="hydra/launcher", name="submitit_keys", node=SubmititLauncherConf, provider="normlab"
)


class SubmititLauncher(EngineLauncher):
    """One submitit job a job."""

    needs = ("submitit", "slurm")

    def __init__(
        self, executor: str, workers: int | None, folder: str, timeouts: int, parameters: Mapping[str, Any]
    ) -> None:
        super().__init__(workers)
        self._executor, self._folder = executor, typed_path(folder)
        self._timeouts, self._parameters = timeouts, dict(parameters)

    @contextlib.contextmanager
    def engine(self, threads: int) -> Iterator["Executor"]:
        """The executor with its parameters.

        Raises:
            BadInput: where it cannot be used, or a parameter is not known to it.
        """
        import submitit

        parameters = {"cpus_per_task": threads, **self._parameters}
        try:
            executor = submitit.AutoExecutor(
                self._folder.absolute() / "%j", self._executor, slurm_max_num_timeout=self._timeouts
            )
            executor.update_parameters(**parameters)
        except (RuntimeError, NameError, TypeError, ValueError) as error:
            raise BadInput(f"hydra.launcher.executor={self._executor}: {error}") from error
        yield Executor(executor, self._workers or max(cores() // threads, 1))


class Executor:
    """Submits one job after another as places become free, so that a sweep that stops leaves no queue behind."""

    def __init__(self, executor: Any, places: int) -> None:
        self._executor, self.places = executor, places

    def submit(self, config: Config, folder: Path) -> Any:
        """Give a job to the executor."""
        return self._executor.submit(Trained(), config, folder, Path.cwd())

    def ended(self, job: Any) -> str | None:
        """What became of it."""
        if not job.done():
            return None
        if not job.paths.result_pickle.exists():
            return f"submitit: job {job.job_id} ended as {job.state} and without a result"
        try:
            error: str = job.result()
        except Exception as died:
            return f"submitit: {str(died).strip().splitlines()[-1]}"
        return error

    def stop(self, job: Any) -> None:
        """Cancel it."""
        job.cancel(check=False)


class Trained:
    """What submitit keeps and calls, again where a job was preempted: training goes on from the last checkpoint."""

    def __call__(self, config: Config, folder: Path, place: Path) -> str:
        """Train."""
        error = train_here(config, folder, place)
        if error.startswith("Terminated") and "SLURM_JOB_ID" in os.environ:
            signal.pause()  # Slurm announces what it does: the requeuing signal comes next, or the end
        return error

    def checkpoint(self, config: Config, folder: Path, place: Path) -> Any:
        """The job to be queued instead of a preempted one."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, config, folder, place)
