"""Real engines give the same bits and keep every promise, whatever kills a job, a command or a node.

There is no Slurm here: submitit's own executor for one machine takes its place.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import clean_environment
from tests.faults.promises import check_store
from tests.faults.stored import read_runs
from tests.workers.test_engines import needs

pytestmark = pytest.mark.slow

SLURM = "hydra/launcher=submitit_slurm hydra.launcher.executor=local hydra.launcher.workers=2"
ENGINES = [SLURM, "hydra/launcher=ray"]
# Several jobs share a GPU.  Without one, the engines only pretend that there is one, and the jobs share the CPU.
SHARED_GPU = [
    f"{SLURM} hydra.launcher.parameters.gpus_per_node=1 hydra.launcher.jobs_per_gpu=2",
    "hydra/launcher=ray hydra.launcher.gpus=0.25 hydra.launcher.init={num_gpus:1}",
]
SMALL = "data=synthetic data.images=900 data.validation=100 epochs=3"
SIX = f"-m norm=bn,gn,ln reg.l1=0,1e-5 {SMALL}"
DYING = f"-m norm=bn reg.l1=0,1e-6,1e-5,2e-5,3e-5,4e-5 {SMALL}"
LONG = "-m norm=bn,gn,ln data=synthetic data.images=1500 epochs=400"
# Every Python process runs this first; some jobs then die in training, as programs do.
DEATHS = """
import importlib.machinery, sys

class Patched:
    def find_spec(self, name, path, target=None):
        if name != "src.job":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            train = module.train
            def die(model, splits, optimizer, schedule, config, **rest):
                import ctypes, os, signal
                if config.reg.l1 == 1e-5:
                    ctypes.string_at(0)
                if config.reg.l1 == 2e-5:
                    sys.exit(0)
                if config.reg.l1 == 3e-5:
                    os.kill(os.getpid(), signal.SIGKILL)
                if config.reg.l1 == 4e-5:
                    raise ValueError("on purpose")
                return train(model, splits, optimizer, schedule, config, **rest)
            module.train = die
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Patched())
"""
CAUSES = {"1e-05": "SIGSEGV", "2e-05": "SystemExit: 0", "3e-05": "SIGKILL", "4e-05": "ValueError: on purpose"}


def bytes_of(folder: Path) -> dict[str, bytes]:
    names = ("weights.safetensors", "predictions.npz")
    return {
        f"{path.parent.name}/{name}": path.read_bytes() for name in names for path in folder.glob(f"*/jobs/*/{name}")
    }


def skip_without(engine: str) -> None:
    needs(engine.split()[0].partition("=")[2])


def train(folder: Path, words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "src.train", *words.split()],
        cwd=folder,
        env=clean_environment() | variables,
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.fixture(scope="module")
def basic(tmp_path_factory) -> Path:
    """The results of Hydra's own launcher, which trains one job after another in the command's process."""
    folder = tmp_path_factory.mktemp("basic")
    done = train(folder, f"{SIX} hydra/launcher=basic")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("engine", ["", *ENGINES, *SHARED_GPU])
def test_the_results_are_bit_identical_on_every_engine(basic, tmp_path, engine):
    if engine:
        skip_without(engine)
    done = train(tmp_path, f"{SIX} {engine}")
    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path) == bytes_of(basic)
    assert len(bytes_of(basic)) == 12
    check_store(tmp_path, basic)


@pytest.mark.parametrize("engine", [*ENGINES, *SHARED_GPU])
def test_a_job_that_dies_is_reported_with_its_cause_and_the_others_finish(tmp_path, engine):
    skip_without(engine)
    words = f"{DYING} {engine}"
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(DEATHS)
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    done = train(tmp_path, words, PYTHONPATH=path)
    assert done.returncode == 1, done.stderr
    runs = {run.params["reg.l1"]: run for run in read_runs(tmp_path / "mlflow.db") if run.tags["kind"] == "job"}
    assert {strength for strength, run in runs.items() if run.status == "FINISHED"} == {"0", "1e-06"}
    for strength, cause in CAUSES.items():
        assert runs[strength].status == "FAILED"
        assert cause in runs[strength].tags["error"]
        assert cause in done.stdout  # the comparison names it
    check_store(tmp_path)
    again = train(tmp_path, words)
    assert again.returncode == 0, again.stderr
    check_store(tmp_path)


def started(tmp_path, words: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-m", "src.train", *words.split()],
        cwd=tmp_path,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 180
    while not any(b'"epoch"' in path.read_bytes() for path in tmp_path.glob("multirun/jobs/*/journal.jsonl")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    return process


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_command_stops_its_jobs_on_every_engine(tmp_path, engine, number):
    skip_without(engine)
    process = started(tmp_path, f"{LONG} {engine}")
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, printed = process.communicate(timeout=120)
    assert process.returncode == (130 if number == signal.SIGINT else 143), printed
    assert "3 of 3 jobs are left" in printed
    psutil.wait_procs(children, timeout=30)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    runs = [run for run in read_runs(tmp_path / "mlflow.db") if run.tags["kind"] == "job"]
    assert {run.status for run in runs} == {"KILLED"}


def holds_a_job(process: psutil.Process) -> bool:
    try:
        return any(Path(file.path).name == "journal.jsonl" for file in process.open_files())
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("engine", ENGINES)
def test_a_killed_command_keeps_every_promise_when_it_is_run_again(tmp_path, engine):
    skip_without(engine)
    words = f"-m norm=bn,gn data=synthetic data.images=3000 epochs=12 {engine}"
    process = started(tmp_path, words)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    if engine != SLURM:  # Slurm's jobs survive the command
        _, left = psutil.wait_procs([child for child in children if holds_a_job(child)], timeout=60)
        assert not left
    again = train(tmp_path, words)
    assert again.returncode == 0, again.stderr
    check_store(tmp_path)


def test_two_nodes_of_ray_share_a_sweep(basic, tmp_path):
    skip_without("hydra/launcher=ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        words = f"{SIX} hydra/launcher=ray hydra.launcher.address={cluster.address}"
        process = subprocess.Popen(
            [sys.executable, "-m", "src.train", *words.split()], cwd=tmp_path, env=clean_environment()
        )
        trained: set[int] = set()
        while process.poll() is None:
            for raylet in [each for each in psutil.process_iter(["name"]) if each.info["name"] == "raylet"]:
                if any("ray::train_here" in " ".join(child.cmdline()) for child in alive(raylet)):
                    trained.add(raylet.pid)
            time.sleep(0.2)
    finally:
        cluster.shutdown()
    assert process.returncode == 0
    assert len(trained) == 2
    assert bytes_of(tmp_path) == bytes_of(basic)
    check_store(tmp_path, basic)


def alive(parent: psutil.Process) -> list[psutil.Process]:
    try:
        return [child for child in parent.children() if child.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []
