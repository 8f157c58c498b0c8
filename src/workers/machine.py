"""Finds the GPUs of this machine, the number of workers for it, and whether it has enough memory for a job."""

import os
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from src.bad_input import BadInput
from src.config import Config
from src.limits import memory_limit, usable_cores
from src.runs.environment import gpu_models
from src.wording import counted

# Bytes of memory and of address space that are too few for one job on 1,000 images (torch 2.14, CPU).
TOO_LITTLE_MEMORY, TOO_FEW_ADDRESSES = 600_000_000, 3_100_000_000
NEEDED = "at least 0.7 GB of memory for one small job, or 4 GB of address space (`ulimit -v`)"


def worker_environments(workers: int | None, threads: int, device: str) -> list[dict[str, str]]:
    """Return the environment variables of each worker.  On a machine with GPUs, they let each worker see one GPU.

    If `workers` is None, there is one worker per GPU, or on a machine without GPUs one worker per `threads` cores.
    """
    gpus = visible_gpus() if device in ("auto", "cuda") else []
    has_one_device = device.startswith(("cuda", "mps")) or (device == "auto" and sys.platform == "darwin")
    worker_count = workers or len(gpus) or (1 if has_one_device else max(usable_cores() // threads, 1))
    return [{"CUDA_VISIBLE_DEVICES": gpus[worker % len(gpus)]} if gpus else {} for worker in range(worker_count)]


def can_share_gpus(config: Config) -> bool:
    """Whether several jobs train on one GPU at once if a machine has one: unless their steps must run one by one."""
    return config.execution != "eager" and (config.device == "auto" or config.device.startswith("cuda"))


def shares_gpus(config: Config) -> bool:
    """Whether several jobs train on one GPU of this machine at once."""
    return can_share_gpus(config) and (config.device != "auto" or bool(visible_gpus()))


def gpus_text(environments: Sequence[Mapping[str, str]], config: Config) -> str:
    """Return the GPUs of these workers, such as `2 GPUs (NVIDIA H200)`; an empty string if their jobs use none.

    If the machine has GPUs of several models, the text names no model.
    """
    gpus = {gpu for environment in environments for gpu in environment.values()}
    count, models = len(gpus) or int(config.device.startswith("cuda")), gpu_models()
    if not count:
        return ""
    return counted(count, "GPU") + (f" ({models[0]})" if len(models) == 1 else "")


def gpu_names(environments: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a short name of each worker's GPU, such as `GPU 0`; empty names if the workers share one GPU or use none.

    A GPU's UUID or the name of a MIG slice keeps its first 12 characters.
    """
    names = [environment.get("CUDA_VISIBLE_DEVICES", "") for environment in environments]
    several = len(set(names)) > 1
    return [(f"GPU {name}" if name.isdecimal() else name[:12]) if several else "" for name in names]


def visible_gpus() -> list[str]:
    """Return the names of the usable NVIDIA GPUs, as CUDA_VISIBLE_DEVICES lists them, without importing torch."""
    chosen_gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen_gpus is not None:
        return [name.strip() for name in chosen_gpus.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number, _ in enumerate(sorted(Path("/dev").glob("nvidia[0-9]*")))]


def check_job_memory() -> None:
    """Raise `BadInput` if a limit leaves less memory than the smallest job needs."""
    memory, addresses = memory_limit(), resource.getrlimit(resource.RLIMIT_AS)[0]
    if memory is not None and memory <= TOO_LITTLE_MEMORY:
        raise BadInput(f"the jobs cannot start: their control group limits memory to {_in_gb(memory)}", NEEDED)
    if addresses != resource.RLIM_INFINITY and addresses <= TOO_FEW_ADDRESSES:
        raise BadInput(f"the jobs cannot start: `ulimit -v` is {_in_gb(addresses)}", NEEDED, "ulimit -v unlimited")


def job_memory_refusal() -> BadInput:
    """Return the error for jobs that cannot start because memory ran out; it names the memory limit if there is one."""
    memory = memory_limit()
    limit = "" if memory is None else f"; the control group limits it to {_in_gb(memory)}"
    problem = f"the process that starts the jobs has ended, probably because memory ran out{limit}"
    return BadInput(problem, NEEDED, "hydra.launcher.workers=1")


def _in_gb(byte_count: int) -> str:
    return f"{byte_count / 1e9:.2f} GB"
