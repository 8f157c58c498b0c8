"""Where a job ran: what somebody needs who wants the same numbers again."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = ("torch", "torchvision", "numpy", "hydra-core", "omegaconf", "mlflow")


@functools.cache
def environment() -> dict[str, str]:
    """Versions, system, processor, and the commit of the code with `+` behind it where the tree was changed."""
    found = {"python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in PACKAGES}
    found |= {"system": f"{platform.system()} {platform.release()}", "cpu": _processor(), "cores": str(os.cpu_count())}
    # Installed into somebody's own project, the code stands in that project's repository, which knows nothing of it.
    commit = _git("rev-parse", "HEAD") if _git("ls-files", "--", "runs") else ""
    if commit:
        found["commit"] = commit + ("+" if _git("status", "--porcelain", "--", ".") else "")
    return found


def _processor() -> str:
    """The processor's name; Python itself knows it on few systems."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git(*words: str) -> str:
    """What git says of the folder `src`; nothing where there is no git or no repository."""
    source = Path(__file__).parent.parent
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # a hook sets some
    try:
        done = subprocess.run(
            ["git", "-C", str(source), *words], env=variables, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
