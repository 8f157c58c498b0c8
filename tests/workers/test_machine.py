import os
import subprocess
import sys
from pathlib import Path

import pytest

from hydra_plugins.normlab.local_launcher import LocalLauncher
from src.workers import machine
from src.workers.machine import shares_gpus, worker_environments
from tests.world import configuration

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("workers", "threads", "device", "visible", "expected"),
    [
        (None, 1, "cpu", None, [{}, {}, {}, {}]),
        (None, 2, "cpu", None, [{}, {}]),
        (None, 8, "auto", "", [{}]),
        (3, 1, "cpu", None, [{}, {}, {}]),
        (None, 1, "auto", "0,1", [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]),
        (None, 1, "auto", "MIG-a", [{"CUDA_VISIBLE_DEVICES": "MIG-a"}]),
        (3, 1, "cuda", "4,7", [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in ("4", "7", "4")]),
        (None, 1, "cuda:1", "0,1", [{}]),
        (None, 1, "cpu", "0,1", [{}, {}, {}, {}]),
        (None, 1, "mps", None, [{}]),
    ],
)
def test_there_is_a_worker_per_gpu_or_else_as_many_as_the_cores_allow(
    monkeypatch, workers, threads, device, visible, expected
):
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert worker_environments(workers, threads, device) == expected


@pytest.mark.parametrize(
    ("device", "execution", "visible", "expected"),
    [
        ("auto", "auto", "0", True),
        ("auto", "auto", "", False),
        ("cuda:1", "graph", "0,1", True),
        ("cuda", "eager", "0", False),
        ("cpu", "auto", "0", False),
    ],
)
def test_jobs_share_a_gpu_unless_their_steps_are_eager(monkeypatch, device, execution, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    config = configuration()
    config.device, config.execution = device, execution
    assert shares_gpus(config) == expected
    places = LocalLauncher(jobs_per_gpu=5).slots(64, config)
    assert places == (5 if expected else 1)


@pytest.mark.parametrize(
    ("visible", "device", "workers", "models", "text", "names"),
    [
        ("0,1", "auto", None, ["NVIDIA H200"], "2 GPUs (NVIDIA H200)", ["GPU 0", "GPU 1"]),
        ("0,1", "auto", 1, ["NVIDIA H200"], "1 GPU (NVIDIA H200)", [""]),
        ("4", "cuda", 2, ["L4", "H200"], "1 GPU", ["", ""]),  # nobody knows which of the two it is
        ("0,1", "cuda:1", None, ["L4"], "1 GPU (L4)", [""]),
        ("GPU-8f3c2a10-77aa,MIG-51", "auto", None, [], "2 GPUs", ["GPU-8f3c2a10", "MIG-51"]),
        ("0,1", "cpu", 2, ["L4"], "", ["", ""]),
        ("", "auto", 2, [], "", ["", ""]),
    ],
)
def test_the_plan_and_the_table_name_gpus(monkeypatch, visible, device, workers, models, text, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(machine, "gpu_models", lambda: models)
    config = configuration()
    config.device = device
    assert LocalLauncher(workers).gpus(1, config) == text
    assert machine.gpu_names(worker_environments(workers, 1, device)) == names


def refusal(code: str, **variables: str) -> list[str]:
    """The lines of the `BadInput` that some code raises in a new process."""
    code = f"""
import resource, sys
from src.bad_input import BadInput
from src.workers.processes import FORK_SERVER_CONTEXT, LocalEngine, Task, check_job_memory
try:
    {code}
except BadInput as error:
    sys.exit(str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stderr.splitlines()


def test_too_little_address_space_is_refused_before_anything_runs():
    lines = refusal("resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000,) * 2); check_job_memory()")
    assert len(lines) == 3
    assert "`ulimit -v` is 2.00 GB" in lines[0]
    assert "0.7 GB" in lines[1]


@pytest.mark.parametrize("end", ["import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "raise MemoryError"])
def test_a_fork_server_that_the_system_kills_is_reported_in_three_lines(tmp_path, end):
    (tmp_path / "ends.py").write_text(f"import src.workers.fork_server\n{end}\n")
    submit = "LocalEngine([{}]).submit(Task('', None, None), live=False)"
    start = f"FORK_SERVER_CONTEXT.set_forkserver_preload(['ends']); {submit}"
    lines = refusal(start, PYTHONPATH=str(tmp_path))
    assert len(lines) == 3, lines
    assert "memory ran out" in lines[0]
