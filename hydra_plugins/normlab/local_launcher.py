"""Where it runs: processes on this machine, one a job, as many at once as it has room for."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from src.bad_input import BadInput
from src.config import Config
from src.live import Board
from src.runs.folder import JobFolder
from src.workers import Outcome, Task, Workers, warm_up


@dataclass
class LocalLauncherConf:
    """`hydra.launcher`: how many jobs at once; null takes one a GPU, else the cores divided by a job's threads."""

    _target_: str = "hydra_plugins.normlab.local_launcher.LocalLauncher"
    workers: int | None = None


ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalLauncherConf, provider="normlab")


class LocalLauncher(Launcher):
    """Hydra's interface to `src/workers.py`."""

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise BadInput(f"hydra.launcher.workers={workers} cannot be used", "an integer >= 1", "without it")
        self._workers = workers

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's call before `launch`; a job is always `src/job.py`'s, so the task function is not needed."""
        self._loader, self._config = hydra_context.config_loader, config

    def warm_up(self) -> None:
        """Begin to import what jobs need, while others do something else."""
        warm_up()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train every job, in processes of their own; the returned objectives are validation accuracies, 0 to 1."""
        self.warm_up()
        composed = [self._compose(overrides, number) for number, overrides in enumerate(job_overrides, initial_job_idx)]
        tasks = [task for task, _ in composed]
        stop = Policy(tasks[0].config)
        environments = divide(self._workers, max(task.config.threads for task in tasks), tasks[0].config.device)
        with Board([task.name for task in tasks]) as board:
            outcomes = list(Workers(environments[: len(tasks)], board).run(tasks, stop.go_on))
        if stop.reason:
            board.say(f"{stop.reason}: {len(tasks) - len(outcomes)} jobs were not begun")
        returns = {task.folder: returned for task, returned in composed}
        return [_completed(returns[outcome.task.folder], outcome) for outcome in outcomes]

    def _compose(self, overrides: Sequence[str], number: int) -> tuple[Task, JobReturn]:
        composed = self._loader.load_sweep_config(self._config, list(overrides))
        hydra = composed.hydra
        with open_dict(composed):
            hydra.job.id, hydra.job.num = str(number), number
            folder = Path(hydra.sweep.dir) / str(hydra.sweep.subdir)
            returned = JobReturn(
                overrides=overrides,
                cfg=composed,
                hydra_cfg=OmegaConf.create({"hydra": hydra}),
                working_dir=str(folder),
                task_name=hydra.job.name,
            )
            del composed["hydra"]
        config = OmegaConf.to_object(composed)
        assert isinstance(config, Config)
        return Task(folder.name.rpartition("-")[0].replace("_", " ") or folder.name, config, folder), returned


class Policy:
    """When a sweep whose jobs fail goes on no further."""

    def __init__(self, config: Config) -> None:
        self._sweep = config.sweep
        self._causes: dict[str, int] = {}
        self.reason = ""

    def go_on(self, outcome: Outcome) -> bool:
        """Whether further jobs are begun after one has ended so."""
        if outcome.error and not self.reason:
            kind = re.sub(r"\d+", "#", outcome.error)  # in whatever step it was
            self._causes[kind] = self._causes.get(kind, 0) + 1
            if self._sweep.on_failure == "stop":
                self.reason = "sweep.on_failure=stop and a job has failed"
            elif self._causes[kind] >= self._sweep.same_failures:
                self.reason = f"{self._causes[kind]} jobs have failed alike (sweep.same_failures)"
        return not self.reason


def divide(workers: int | None, threads: int, device: str) -> list[dict[str, str]]:
    """The machine's parts: the environment of each worker, with a GPU of its own where there are GPUs."""
    gpus = visible_gpus() if device in ("auto", "cuda") else []
    single = device.startswith(("cuda", "mps")) or (device == "auto" and sys.platform == "darwin")
    number = workers or len(gpus) or (1 if single else max(cores() // threads, 1))
    return [{"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if gpus else {} for slot in range(number)]


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs that may be used, as CUDA_VISIBLE_DEVICES names them, without importing torch."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number, _ in enumerate(sorted(Path("/dev").glob("nvidia[0-9]*")))]


def _completed(returned: JobReturn, outcome: Outcome) -> JobReturn:
    result = JobFolder(outcome.task.folder).result()
    if outcome.error or result is None:
        returned.status, value = JobStatus.FAILED, RuntimeError(outcome.error)
    else:
        returned.status, value = JobStatus.COMPLETED, result["metrics"]["val/accuracy"]
    returned.return_value = value
    return returned
