"""How many jobs this machine has room for at once, and which part of it each gets."""

import os
import sys
from pathlib import Path

from src.workers.limits import cpu_quota


def divide(workers: int | None, threads: int, device: str) -> list[dict[str, str]]:
    """The machine's parts: the environment of each worker, with a GPU of its own where there are GPUs."""
    gpus = visible_gpus() if device in ("auto", "cuda") else []
    single = device.startswith(("cuda", "mps")) or (device == "auto" and sys.platform == "darwin")
    number = workers or len(gpus) or (1 if single else max(cores() // threads, 1))
    return [{"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if gpus else {} for slot in range(number)]


def cores() -> int:
    """The number of processors that this process may use; a container's quota of 1.5 counts as one."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return there if quota is None else max(1, min(there, int(quota)))


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs that may be used, as CUDA_VISIBLE_DEVICES names them, without importing torch."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number, _ in enumerate(sorted(Path("/dev").glob("nvidia[0-9]*")))]
