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
    found = {"python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in PACKAGES}
    found |= {"system": f"{platform.system()} {platform.release()}", "cpu": _processor(), "cores": str(os.cpu_count())}
    found |= _instructions() | _gpus() | {name: os.environ[name] for name in VARIABLES if name in os.environ}
    # Installed inside another project's repository, the code is not tracked there.
    commit = _git("rev-parse", "HEAD") if _git("ls-files", "--", "runs") else ""
    if commit:
        found["commit"] = commit + ("+" if _git("status", "--porcelain", "--", ".") else "")
    return found


def _processor() -> str:
    """Return the processor's name; Python knows it on few systems."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _instructions() -> dict[str, str]:
    """Return the instruction set that torch uses, such as AVX512, if this process has imported torch."""
    torch = sys.modules.get("torch")  # the comparison imports this module and must not wait for torch
    return {"cpu capability": torch.backends.cpu.get_cpu_capability()} if torch else {}


def _gpus() -> dict[str, str]:
    """Return the models of NVIDIA GPUs from the driver's files, since a process that calls CUDA cannot be forked."""
    models: dict[str, None] = {}
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with contextlib.suppress(OSError):
            lines = [line for line in file.read_text().splitlines() if line.startswith("Model:")]
            models |= dict.fromkeys(line.partition(":")[2].strip() for line in lines)
    return {"gpu": ", ".join(models)} if models else {}


def _git(*words: str) -> str:
    """Return git's output for the folder `src`, or an empty string without git or a repository."""
    source = Path(__file__).parent.parent
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_")
    }  # set inside a git hook
    try:
        done = subprocess.run(
            ["git", "-C", str(source), *words], env=variables, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
