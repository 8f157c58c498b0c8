"""A job's environment: everything needed to reproduce its numbers."""

import contextlib
import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

PACKAGES = ("torch", "torchvision", "numpy", "hydra-core", "omegaconf", "mlflow")
# These variables change the last bits of a result: the instructions, kernels and precisions that libraries choose.
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
    """Return versions, system, processor, GPU, the commit (with `+` for a changed tree) and the set `VARIABLES`."""
    facts = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
    processors = _values(Path("/proc/cpuinfo"), "model name") or [platform.processor() or platform.machine()]
    facts |= {"system": f"{platform.system()} {platform.release()}", "cpu": processors[0], "cores": str(os.cpu_count())}
    if torch := sys.modules.get("torch"):  # the comparison imports this module and must not wait for torch
        facts["cpu capability"] = torch.backends.cpu.get_cpu_capability()
    files = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))  # a process that calls CUDA cannot be forked
    if gpus := dict.fromkeys(model for file in files for model in _values(file, "Model:")):
        facts["gpu"] = ", ".join(gpus)
    facts |= {name: os.environ[name] for name in VARIABLES if name in os.environ}
    # Installed inside another project's repository, the code is not tracked there.
    commit = _git("rev-parse", "HEAD") if _git("ls-files", "--", "runs") else ""
    if commit:
        facts["commit"] = commit + ("+" if _git("status", "--porcelain", "--", ".") else "")
    return facts


def _values(file: Path, name: str) -> list[str]:
    """Return the values behind the colon of the lines that start with `name`; none if the file cannot be read."""
    with contextlib.suppress(OSError):
        return [line.partition(":")[2].strip() for line in file.read_text().splitlines() if line.startswith(name)]
    return []


def _git(*words: str) -> str:
    """Return git's output for the folder `src`, or an empty string without git or a repository."""
    command = ["git", "-C", str(Path(__file__).parent.parent), *words]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # a git hook's
    try:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
