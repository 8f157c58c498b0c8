"""Engines decide only where a job runs: its progress, and what Slurm and Ray are asked for."""

import os
import re

import pytest
from omegaconf import OmegaConf

from src.bad_input import BadInput
from src.runs.journal import Journal, stamp
from src.sweep.overrides import CONF_FOLDER, group_options
from src.workers.engines import RemoteEngine, RemoteJob, check_installed
from src.workers.queue import Task
from tests.workers.test_queue import Engine
from tests.world import configuration

PACKAGES = {"submitit_slurm": ("submitit", "slurm"), "ray": ("ray", "ray")}  # the package and its extra


def needs(launcher: str) -> None:
    package, extra = PACKAGES[launcher]
    pytest.importorskip(package, reason=f"pip install 'normlab[{extra}]' for hydra/launcher={launcher}")


def test_a_missing_engine_is_refused_with_the_command_that_installs_it(command, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['ray'] = None\n")
    done = command("src.train", "hydra/launcher=ray", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2, done.stderr
    assert done.stderr == "normlab: hydra/launcher=ray is not installed\n  write: pip install 'normlab[ray]'\n"
    with pytest.raises(BadInput, match=r"submitit_slurm is not installed\n  write: pip install .normlab\[slurm\]"):
        check_installed("submitit_slurm", "no_such_package", "slurm")


def test_the_folder_of_launchers_is_no_group_of_ours():
    assert "hydra" not in group_options()


def test_the_epochs_of_a_job_that_starts_again_are_reported_again(tmp_path):
    metrics = dict.fromkeys(("train/loss", "train/accuracy", "val/loss", "val/accuracy", "time/train_seconds"), 0.5)
    folder, engine = tmp_path / "a", Engine("it died")

    def updates():
        return engine.poll(job)[0]

    def write(epochs):
        folder.mkdir()
        with Journal(folder / "journal.jsonl") as journal:
            journal.append(stamp("start"))
            journal.append(stamp("ready", source={"train": 100}))
            for epoch in range(1, epochs + 1):
                journal.append(stamp("epoch", epoch=epoch, metrics=metrics))

    write(epochs=2)
    job = RemoteJob(Task("a", configuration(), folder), shown_epochs=2)  # submitted after its second epoch
    assert updates() == []
    folder.rename(tmp_path / "set aside")  # as happens after the code has changed
    write(epochs=1)
    assert [update.epoch for update in [*updates(), *updates()]] == [1]


def test_a_dry_run_counts_the_places_of_this_machine_and_asks_no_cluster(monkeypatch):
    needs("ray")
    from hydra_plugins.normlab.ray_launcher import RayLauncher

    monkeypatch.setattr("src.workers.machine.usable_cores", lambda: 4)
    here, elsewhere = (RayLauncher(address, cpus=None, gpus=0, init={}) for address in (None, "10.0.0.1:6379"))
    assert (here.slots(2, configuration()), elsewhere.slots(2, configuration())) == (2, 1)


@pytest.mark.parametrize(
    ("gpus", "execution", "device", "places"),
    [
        (0, "auto", "auto", 1),
        (0.1, "auto", "cuda", 10),
        (0.01, "graph", "auto", 32),
        (1, "auto", "auto", 5),
        (2, "auto", "auto", 10),
        (0.5, "eager", "auto", 1),
        (0.5, "auto", "cpu", 1),
    ],
)
def test_a_fraction_of_a_gpu_is_a_place_in_a_task_of_ray_that_holds_a_gpu(gpus, execution, device, places):
    needs("ray")
    from hydra_plugins.normlab.ray_launcher import RayLauncher

    config = configuration()
    config.execution, config.device = execution, device
    launcher = RayLauncher("10.0.0.1:6379", cpus=None, gpus=gpus, init={}, jobs_per_gpu=5)
    assert launcher.places(config) == launcher.slots(1, config) == places


@pytest.mark.parametrize("gpus", [-1, 1.5])
def test_an_impossible_number_of_gpus_is_refused_before_ray_starts(gpus):
    needs("ray")
    from hydra_plugins.normlab.ray_launcher import RayLauncher

    with pytest.raises(BadInput, match=f"hydra.launcher.gpus={gpus} cannot be used"):
        RayLauncher(None, cpus=None, gpus=gpus, init={})


class Recording(RemoteEngine):
    """Notes the jobs of each request; a request ends once its errors are known."""

    slots, places = 8, 4

    def __init__(self):
        self.requests, self.ends, self.cancelled = [], {}, []

    def start_training(self, jobs):
        self.requests.append([folder.name for _, folder in jobs])
        return len(self.requests) - 1

    def training_errors(self, handle):
        return self.ends.get(handle)

    def cancel(self, handle):
        self.cancelled.append(handle)


def test_jobs_are_divided_evenly_among_requests_and_the_next_ones_wait_for_a_free_request(world, monkeypatch):
    monkeypatch.setattr("src.workers.engines.POLL_INTERVAL", 0)
    engine = Recording()
    folders = [world.multirun / "jobs" / name for name in "abcdefgh"]
    planned = world.finish(configuration(), {})
    folders[1] = world.multirun / "jobs" / planned.folder  # finished before its request ends
    jobs = [engine.submit(Task("", configuration(), folder), live=False) for folder in folders]
    engine.wait(jobs[:6])
    assert engine.requests == [["a", planned.folder, "c"], ["d", "e", "f"]]
    assert [engine.poll(job)[1] for job in jobs] == [None, "", *[None] * 6]
    engine.wait([jobs[0], *jobs[2:]])
    assert len(engine.requests) == 2  # both are busy
    engine.ends[1] = ["", "Diverged", "Terminated"]
    assert [engine.poll(job)[1] for job in jobs[3:6]] == ["", "Diverged", "Terminated"]
    running = [jobs[0], jobs[2], *jobs[6:]]
    engine.wait(running)
    assert engine.requests[2:] == [["g", "h"]]
    engine.ends[2] = "Ray: NodeDiedError"
    assert {engine.poll(job)[1] for job in jobs[6:]} == {"Ray: NodeDiedError"}
    engine.stop(running, 2)
    assert engine.cancelled == [0]  # once, although two of its jobs run


SBATCH = """#!/bin/sh
cp "$1" {copy}
echo sbatch: error: none here >&2
exit 1
"""


def test_slurm_gets_the_parameters_of_the_configuration(tmp_path, monkeypatch):
    needs("submitit_slurm")
    from hydra_plugins.normlab.submitit_launcher import SubmititLauncher

    for name, text in {"sbatch": SBATCH.format(copy=tmp_path / "submitted"), "srun": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    keys = OmegaConf.load(CONF_FOLDER / "hydra/launcher/submitit_slurm.yaml")
    del keys["defaults"]
    keys.folder, keys.parameters.slurm_partition = str(tmp_path), "gpu"
    with SubmititLauncher(**OmegaConf.to_container(keys)).start_engine(2, configuration()) as slurm:
        job = slurm.submit(Task("a", configuration(), tmp_path / "a"), live=False)
        slurm.wait([job])
    assert slurm.slots == 16
    assert slurm.poll(job)[1] == "the cluster refused the job: FailedJobError: sbatch: error: none here"
    submitted = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", (tmp_path / "submitted").read_text(), re.MULTILINE))
    assert submitted["partition"] == "gpu"
    assert submitted["cpus-per-task"] == "2"
    assert submitted["time"] == "60"
    assert submitted["signal"] == "USR2@120"
    assert submitted["mem"] == "4GB"


def test_a_slurm_job_trains_several_jobs_on_each_of_its_gpus():
    needs("submitit_slurm")
    from hydra_plugins.normlab.submitit_launcher import SubmititLauncher

    keys = {"executor": "local", "workers": 3, "folder": "slurm", "timeouts": 1}
    launcher = SubmititLauncher(**keys, parameters={"gpus_per_node": 2}, jobs_per_gpu=4)
    with launcher.start_engine(1, configuration()) as slurm:
        assert (launcher.slots(1, configuration()), slurm.slots, slurm.places) == (24, 24, 8)
    assert SubmititLauncher(**keys, parameters={"gpus_per_node": 0}).slots(1, configuration()) == 3


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("hydra/launcher=ray hydra.launcher.address=127.0.0.1:1", "hydra.launcher.address=127.0.0.1:1: "),
        ("hydra/launcher=ray hydra.launcher.gpus=99", "cannot provide hydra.launcher.cpus=1 and"),
        ("hydra/launcher=ray hydra.launcher.gpus=many", "hydra.launcher.gpus"),
        (
            "hydra/launcher=submitit_slurm hydra.launcher.executor=local +hydra.launcher.parameters.timeout=3",
            "timeout",
        ),
    ],
)
def test_an_impossible_request_to_an_engine_is_refused_in_three_lines(command, words, problem):
    needs(words.split()[0].partition("=")[2])
    done = command("src.train", *words.split(), "data=synthetic", "tracking=none")
    assert done.returncode == 2, done.stderr
    refusal = done.stderr[done.stderr.index("normlab: ") :]
    assert problem in refusal
    assert len(refusal.splitlines()) <= 3
