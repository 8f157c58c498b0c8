"""The limits that a container, a batch system or the shell sets: processors and memory."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

from src.bad_input import BadInput

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")  # a line for each hierarchy: number:controllers:path; version 2 names none
UNLIMITED = 1 << 60  # bytes; version 1 writes a number close to 2**63
# One job on a thousand images, torch 2.14 for the CPU: it fails with this much memory and address space.
TOO_SMALL, TOO_SMALL_ADDRESSES = 600_000_000, 3_100_000_000
SMALLEST = "0.7 GB of memory for one small job, or 4 GB where `ulimit -v` sets the limit"


def cpu_quota(mount: Path = MOUNT, membership: Path = MEMBERSHIP) -> float | None:
    """How many processors this process may use at once, by its control groups; None for no limit."""
    quotas = []
    for folder in _groups("cpu", mount, membership):
        with contextlib.suppress(OSError, ValueError):  # version 2
            quota, period = (folder / "cpu.max").read_text().split()
            quotas.append(int(quota) / int(period))
        with contextlib.suppress(OSError, ValueError):  # version 1
            quota_us = int((folder / "cpu.cfs_quota_us").read_text())
            quotas.append(quota_us / int((folder / "cpu.cfs_period_us").read_text()))
    return min((quota for quota in quotas if quota > 0), default=None)  # -1 is no limit


def memory_limit(mount: Path = MOUNT, membership: Path = MEMBERSHIP) -> int | None:
    """How many bytes of memory the control groups of this process allow; None for no limit."""
    limits = []
    for folder in _groups("memory", mount, membership):
        for name in ("memory.max", "memory.limit_in_bytes"):  # versions 2 and 1
            with contextlib.suppress(OSError, ValueError):
                limits.append(int((folder / name).read_text()))
    return min((limit for limit in limits if limit < UNLIMITED), default=None)


def check_memory() -> None:
    """Refuse to start jobs with less memory than the smallest one needs.

    Raises:
        BadInput: naming the limit.
    """
    memory, addresses = memory_limit(), resource.getrlimit(resource.RLIMIT_AS)[0]
    if memory is not None and memory <= TOO_SMALL:
        raise BadInput(f"the jobs cannot start: a control group allows {_size(memory)} of memory", SMALLEST)
    if addresses != resource.RLIM_INFINITY and addresses <= TOO_SMALL_ADDRESSES:
        raise BadInput(f"the jobs cannot start: `ulimit -v` allows {_size(addresses)}", SMALLEST, "ulimit -v unlimited")


def too_little_memory(what: str) -> BadInput:
    """The refusal for jobs that cannot start, with the limit if there is one."""
    memory = memory_limit()
    limit = "" if memory is None else f": a control group allows {_size(memory)}"
    return BadInput(f"{what}, as when memory runs out{limit}", SMALLEST, "hydra.launcher.workers=1")


def _size(bytes_: int) -> str:
    return f"{bytes_ / 1e9:.2f} GB"


def _groups(controller: str, mount: Path, membership: Path) -> Iterator[Path]:
    """The folders of this process's control groups for a controller, from its own up to the root.

    A container may see its own group as the root; folders that do not exist hold no file.
    """
    with contextlib.suppress(OSError):
        for line in membership.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            parts = [] if ".." in path else [part for part in path.split("/") if part]
            for root in [mount / controllers] if controllers else [mount, mount / "unified"]:
                for length in range(len(parts), -1, -1):
                    yield root.joinpath(*parts[:length])
