"""The processors and the memory that this process may use, within the limits of its control groups (containers)."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUP_MOUNT = Path("/sys/fs/cgroup")
CGROUP_MEMBERSHIP = Path("/proc/self/cgroup")  # lines NUMBER:CONTROLLERS:PATH; cgroup version 2 names no controllers
UNLIMITED = 1 << 60  # bytes; for no limit, cgroup version 1 writes a number close to 2**63


def usable_cores() -> int:
    """Return the number of processors that this process may use; a container's limit of 1.5 counts as 1."""
    core_count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    core_limit = cpu_quota()
    return core_count if core_limit is None else max(1, min(core_count, int(core_limit)))


def usable_memory() -> float:
    """Return the machine's memory in bytes, or its control groups' limit if that is lower; infinity if unknown."""
    memory = math.inf
    with contextlib.suppress(OSError, ValueError):  # not every system reports its memory
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = memory_limit()
    return memory if limit is None else min(memory, limit)


def cpu_quota(mount: Path = CGROUP_MOUNT, membership: Path = CGROUP_MEMBERSHIP) -> float | None:
    """Return how many processors the control groups allow at once, or None without a limit."""
    quotas = []
    for folder in _control_group_folders("cpu", mount, membership):
        with contextlib.suppress(OSError, ValueError):  # cgroup version 2
            quota, period = (folder / "cpu.max").read_text().split()
            quotas.append(int(quota) / int(period))
        with contextlib.suppress(OSError, ValueError):  # cgroup version 1
            quota_us = int((folder / "cpu.cfs_quota_us").read_text())
            quotas.append(quota_us / int((folder / "cpu.cfs_period_us").read_text()))
    return min((quota for quota in quotas if quota > 0), default=None)  # a quota of -1 means no limit


def memory_limit(mount: Path = CGROUP_MOUNT, membership: Path = CGROUP_MEMBERSHIP) -> int | None:
    """Return how many bytes of memory the control groups allow, or None without a limit."""
    byte_limits = []
    for folder in _control_group_folders("memory", mount, membership):
        for name in ("memory.max", "memory.limit_in_bytes"):  # cgroup versions 2 and 1
            with contextlib.suppress(OSError, ValueError):
                byte_limits.append(int((folder / name).read_text()))
    return min((limit for limit in byte_limits if limit < UNLIMITED), default=None)


def _control_group_folders(controller: str, mount: Path, membership: Path) -> Iterator[Path]:
    """Yield the folders of this process's control groups for a controller, from its own group up to the root.

    A container may see its own group as the root.  Some folders may not exist.
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
