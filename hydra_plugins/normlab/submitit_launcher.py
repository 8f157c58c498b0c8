"""A Hydra launcher that trains jobs on Slurm through submitit: one Slurm job per job."""

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.normlab.local_launcher import LocalLauncher
from src.bad_input import BadInput
from src.command import typed_path
from src.config import Config
from src.workers.engines import RemoteEngine, check_installed, train_here
from src.workers.queue import Engine


@dataclass
class SlurmConf:
    """The keys of `hydra.launcher`; `conf/hydra/launcher/submitit_slurm.yaml` explains them."""

    _target_: str = "hydra_plugins.normlab.submitit_launcher.SubmititLauncher"
    executor: str = "slurm"
    workers: int = 16
    folder: str = "multirun/submitit"
    timeouts: int = 3
    parameters: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/launcher", name="submitit_keys", node=SlurmConf, provider="normlab")


class SubmititLauncher(LocalLauncher):
    """Trains jobs with a submitit executor: `slurm`, or `local` to try this launcher without a cluster."""

    is_local = False

    def __init__(self, executor: str, workers: int, folder: str, timeouts: int, parameters: Mapping[str, Any]) -> None:
        check_installed("submitit_slurm", "submitit", "slurm")
        super().__init__(workers)
        self._executor, self._folder, self._slots = executor, typed_path(folder), workers
        self._timeouts, self._parameters = timeouts, dict(parameters)

    @contextlib.contextmanager
    def start_engine(self, threads: int, config: Config) -> Iterator[Engine]:
        """Yield the engine.  Raises `BadInput` if submitit's executor cannot be used or does not know a parameter."""
        import submitit

        try:
            folder = self._folder.absolute() / "%j"
            executor = submitit.AutoExecutor(folder, self._executor, slurm_max_num_timeout=self._timeouts)
            executor.update_parameters(**{"cpus_per_task": threads, **self._parameters})
        except (RuntimeError, NameError, TypeError, ValueError) as error:
            raise BadInput(f"submitit cannot use hydra.launcher.executor={self._executor}: {error}") from error
        yield _Executor(executor, self._slots)  # Slurm gets at most `_slots` jobs at once


class _Executor(RemoteEngine):
    def __init__(self, executor: Any, slots: int) -> None:
        self._executor, self.slots = executor, slots

    def start_training(self, config: Config, folder: Path) -> Any:
        return self._executor.submit(ResumableTraining(), config, folder, Path.cwd())

    def training_error(self, job: Any) -> str | None:
        if not job.done():
            return None
        if not job.paths.result_pickle.exists():
            return f"submitit: job {job.job_id} ended in the state {job.state} without a result"
        try:
            error: str = job.result()
        except Exception as submitit_error:
            return f"submitit: {str(submitit_error).strip().splitlines()[-1]}"
        return error

    def cancel(self, job: Any) -> None:
        job.cancel(check=False)


class ResumableTraining:
    """The function that submitit stores and calls; after a preemption submitit calls it again, and training resumes."""

    def __call__(self, config: Config, folder: Path, command_folder: Path) -> str:
        """Train the job; returns why it failed, or an empty string."""
        error = train_here(config, folder, command_folder)
        if error.startswith("Terminated") and "SLURM_JOB_ID" in os.environ:
            signal.pause()  # Slurm has announced a preemption: its next signal queues the job again or ends it
        return error

    def checkpoint(self, config: Config, folder: Path, command_folder: Path) -> Any:
        """Return the submission that repeats a preempted job; submitit calls this method and queues the submission."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, config, folder, command_folder)
