"""Describes a job's environment: versions, processor, GPU, commit and variables that affect its numbers."""

import contextlib
import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PACKAGES = ("torch", "torchvision", "numpy", "hydra-core", "omegaconf", "mlflow")
# Libraries choose instructions, kernels and precisions by these variables, which can change the last bits of a result.
VARIABLES = (
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_CPU_ISA_HINTS", "DNNL_CPU_ISA_HINTS"),
    *("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"),
    *("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "MKL_DYNAMIC", "OPENBLAS_CORETYPE"),
    *("OMP_DYNAMIC", "OMP_THREAD_LIMIT", "KMP_DETERMINISTIC_REDUCTION", "KMP_FORCE_REDUCTION", "GLIBC_TUNABLES"),
    *("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_BLAS_PREFER_CUBLASLT", "TORCH_CUDNN_V8_API_DISABLED"),
    *("NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG"),
)


@functools.cache
def environment() -> dict[str, str]:
    """Return versions, system, processor, GPU, commit (with `+` if files have changed) and the set `VARIABLES`."""
    facts = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
    processors = _read_values(Path("/proc/cpuinfo"), "model name") or [platform.processor() or platform.machine()]
    facts |= {"system": f"{platform.system()} {platform.release()}", "cpu": processors[0], "cores": str(os.cpu_count())}
    if torch := sys.modules.get("torch"):  # the compare command must not wait for torch to load
        facts["cpu capability"] = torch.backends.cpu.get_cpu_capability()
    if models := gpu_models():
        facts["gpu"] = ", ".join(models)
    facts |= {name: os.environ[name] for name in VARIABLES if name in os.environ}
    # Skip the commit of another project's repository, for example if normlab is installed inside its folder.
    commit = _run_git("rev-parse", "HEAD") if _run_git("ls-files", "--", "runs") else ""
    if commit:
        facts["commit"] = commit + ("+" if _run_git("status", "--porcelain", "--", ".") else "")
    return facts


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of the installed packages among `names`, by their name."""
    versions = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def gpu_models(folder: Path = Path("/proc/driver/nvidia/gpus")) -> list[str]:
    """Return the models of this machine's NVIDIA GPUs, each once, without calling CUDA, which would prevent a fork."""
    files = sorted(folder.glob("*/information"))
    return list(dict.fromkeys(model for file in files for model in _read_values(file, "Model:")))


def _read_values(file: Path, name: str) -> list[str]:
    """Return the text after the colon in each line that starts with `name`; an empty list if the file is unreadable."""
    with contextlib.suppress(OSError):
        return [line.partition(":")[2].strip() for line in file.read_text().splitlines() if line.startswith(name)]
    return []


def _run_git(*arguments: str) -> str:
    """Return the output of a git command in the folder `src`, or an empty string if it fails."""
    command = ["git", "-C", str(Path(__file__).parent.parent), *arguments]
    # Inside a git hook, GIT_* variables would point to another repository.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        result = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
