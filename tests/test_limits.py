"""The limits of control groups, with made-up files in place of the system's."""

import os
from pathlib import Path

import pytest

from src import limits
from src.limits import cpu_quota, memory_limit, usable_memory


def cgroups(folder: Path, membership: str, **files: str) -> tuple[Path, Path]:
    """A mount point with files, where `__` in a name means a slash, and a process's membership."""
    (folder / "membership").write_text(membership)
    for name, content in files.items():
        path = folder / "mount" / name.replace("__", "/").replace("cpu_", "cpu.").replace("memory_", "memory.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return folder / "mount", folder / "membership"


V2, V1 = "0::/user/job\n", "4:memory:/docker/1a2b\n3:cpu,cpuacct:/docker/1a2b\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        (V2, {"user__job__cpu_max": "150000 100000"}, 1.5),
        (V2, {"user__job__cpu_max": "max 100000", "user__cpu_max": "200000 100000"}, 2.0),  # the parent's counts too
        (V2, {"user__job__cpu_max": "max 100000"}, None),
        ("0::/\n", {"cpu_max": "50000 100000"}, 0.5),  # a container that sees its own group as the root
        ("0::/../..\n", {"cpu_max": "50000 100000"}, 0.5),
        (V2, {"unified__user__job__cpu_max": "50000 100000"}, 0.5),  # both versions are mounted
        (V1, {"cpu,cpuacct__cpu_cfs_quota_us": "300000", "cpu,cpuacct__cpu_cfs_period_us": "100000"}, 3.0),
        (
            V1,
            {
                "cpu,cpuacct__docker__1a2b__cpu_cfs_quota_us": "-1",
                "cpu,cpuacct__docker__1a2b__cpu_cfs_period_us": "100000",
            },
            None,
        ),
        (V2, {"user__job__cpu_max": "nonsense"}, None),
        ("nonsense", {}, None),
    ],
)
def test_the_smallest_quota_of_a_process_and_its_parents_counts(tmp_path, membership, files, quota):
    if membership == "nonsense":
        assert cpu_quota(tmp_path, tmp_path / "missing") is None
    else:
        assert cpu_quota(*cgroups(tmp_path, membership, **files)) == quota


@pytest.mark.parametrize(
    ("membership", "files", "limit"),
    [
        (V2, {"user__job__memory_max": "450000000"}, 450_000_000),
        (V2, {"user__job__memory_max": "max"}, None),
        (V1, {"memory__memory_limit_in_bytes": "700000000"}, 700_000_000),
        (V1, {"memory__docker__1a2b__memory_limit_in_bytes": "9223372036854771712"}, None),
    ],
)
def test_the_smallest_memory_limit_counts(tmp_path, membership, files, limit):
    files = {name.replace("limit_in", "limit_in"): content for name, content in files.items()}
    assert memory_limit(*cgroups(tmp_path, membership, **files)) == limit


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (0.5, 1), (1.5, 1), (3.0, 3), (64.0, 8)])
def test_the_usable_cores_follow_the_quota_and_are_at_least_one(monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(limits, "cpu_quota", lambda: quota)
    assert limits.usable_cores() == expected


def test_the_usable_memory_is_that_of_the_machine_or_of_its_control_group(monkeypatch):
    monkeypatch.setattr(limits, "memory_limit", lambda: None)
    machine = usable_memory()
    for limit, expected in ((1000, 1000), (2 * machine, machine)):
        monkeypatch.setattr(limits, "memory_limit", lambda limit=limit: limit)
        assert usable_memory() == expected
