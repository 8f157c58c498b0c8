"""A Hydra launcher that trains jobs on Slurm through submitit: a Slurm job per job, or for several jobs on GPUs."""

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.normlab.local_launcher import LocalLauncher
from src.bad_input import BadInput
from src.command import typed_path
from src.config import Config
from src.workers.engines import RemoteEngine, check_installed, train_here
from src.workers.machine import can_share_gpus
from src.workers.queue import Engine


@dataclass
class SlurmConf:
    """The keys of `hydra.launcher`; `conf/hydra/launcher/submitit_slurm.yaml` explains them."""

    _target_: str = "hydra_plugins.normlab.submitit_launcher.SubmititLauncher"
    executor: str = "slurm"
    workers: int = 16
    folder: str = "multirun/submitit"
    timeouts: int = 3
    jobs_per_gpu: int = 8
    parameters: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/launcher", name="submitit_keys", node=SlurmConf, provider="normlab")


class SubmititLauncher(LocalLauncher):
    """Trains jobs with a submitit executor: `slurm`, or `local` to try this launcher without a cluster."""

    is_local = False

    def __init__(
        self,
        executor: str,
        workers: int,
        folder: str,
        timeouts: int,
        parameters: Mapping[str, Any],
        jobs_per_gpu: int = 8,
    ) -> None:
        check_installed("submitit_slurm", "submitit", "slurm")
        super().__init__(workers, jobs_per_gpu)
        self._executor, self._folder, self._slurm_jobs = executor, typed_path(folder), workers
        self._timeouts, self._parameters = timeouts, dict(parameters)

    def places(self, config: Config) -> int:
        """Return how many jobs a Slurm job trains at once: `jobs_per_gpu` on each of its GPUs."""
        gpus = int(self._parameters.get("gpus_per_node") or 0)
        return max(gpus * self._jobs_per_gpu, 1) if can_share_gpus(config) else 1

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
        yield _Executor(executor, self._slurm_jobs, self.places(config), self._jobs_per_gpu)


class _Executor(RemoteEngine):
    def __init__(self, executor: Any, slurm_jobs: int, places: int, jobs_per_gpu: int) -> None:
        self._executor, self.slots, self.places = executor, slurm_jobs * places, places
        self._jobs_per_gpu = jobs_per_gpu

    def start_training(self, jobs: Sequence[tuple[Config, Path]]) -> Any:
        return self._executor.submit(ResumableTraining(), jobs, Path.cwd(), self._jobs_per_gpu)

    def training_errors(self, job: Any) -> list[str] | str | None:
        if not job.done():
            return None
        if not job.paths.result_pickle.exists():
            return f"submitit: job {job.job_id} ended in the state {job.state} without a result"
        try:
            return list(job.result())
        except Exception as submitit_error:
            return f"submitit: {str(submitit_error).strip().splitlines()[-1]}"

    def cancel(self, job: Any) -> None:
        job.cancel(check=False)


class ResumableTraining:
    """The function that submitit stores and calls; after a preemption submitit calls it again, and training resumes."""

    def __call__(self, jobs: Sequence[tuple[Config, Path]], command_folder: Path, jobs_per_gpu: int) -> list[str]:
        """Train the jobs; returns why each one failed, or an empty string."""
        errors = train_here(jobs, command_folder, jobs_per_gpu)
        if any(error.startswith("Terminated") for error in errors) and "SLURM_JOB_ID" in os.environ:
            signal.pause()  # Slurm has announced a preemption: its next signal queues the job again or ends it
        return errors

    def checkpoint(self, *arguments: Any) -> Any:
        """Return the submission that repeats a preempted job; submitit calls this method and queues the submission."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, *arguments)
