"""Engines only say where jobs run: the numbers, the promises and the answers are those of the local launcher."""

import os
import re
from pathlib import Path

import pytest

from hydra_plugins.normlab.ray_launcher import RayLauncher
from src.runs.folder import JobFolder
from src.runs.journal import Journal, stamp
from src.sweep.overrides import option_groups
from src.tracking.sweep_run import how_ended
from src.workers.engines import Handed, Nobody, follow, run
from src.workers.processes import Task
from tests.world import configuration

PACKAGES = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray"}
EXTRAS = {"joblib": "joblib", "submitit": "slurm", "ray": "ray"}


def with_site(tmp_path, text: str) -> str:
    """A PYTHONPATH on which a sitecustomize stands, which every Python process runs first."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(text)
    return os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])


def needs(launcher: str) -> None:
    extra = EXTRAS[PACKAGES[launcher]]
    pytest.importorskip(PACKAGES[launcher], reason=f"pip install 'normlab[{extra}]' for hydra/launcher={launcher}")


@pytest.mark.parametrize("launcher", PACKAGES)
def test_an_engine_that_is_not_installed_is_answered_with_how_to_install_it(command, tmp_path, launcher):
    package = PACKAGES[launcher]
    path = with_site(tmp_path, f"import sys\nsys.modules[{package!r}] = None\n")
    done = command("src.train", f"hydra/launcher={launcher}", PYTHONPATH=path)
    assert done.returncode == 2, done.stderr
    assert done.stderr == f"normlab: hydra/launcher={launcher} needs: pip install 'normlab[{EXTRAS[package]}]'\n"


def test_the_folder_of_launchers_is_no_group_of_ours():
    assert "hydra" not in option_groups()


class Engine:
    """Ends each job at once, as it is told."""

    places = 1

    def __init__(self, died: str) -> None:
        self.died, self.stopped = died, list[Path]()

    def submit(self, config, folder):
        folder.mkdir()
        with Journal(folder / "journal.jsonl") as journal:
            journal.append(stamp("start"))
        return folder

    def ended(self, handle):
        if not self.died:
            raise KeyboardInterrupt
        return self.died

    def stop(self, handle):
        self.stopped.append(handle)


def two_tasks(tmp_path):
    return [Task(name, configuration(), tmp_path / name) for name in ("a", "b")]


def test_a_node_that_dies_is_told_in_the_journal_of_its_job(tmp_path):
    outcomes = list(run(Engine("Ray: NodeDiedError"), two_tasks(tmp_path), lambda outcome: True, Nobody()))
    assert [outcome.error for outcome in outcomes] == ["Ray: NodeDiedError"] * 2
    last = JobFolder(tmp_path / "a").records()[-1]
    assert (last["kind"], last["status"], last["error"]) == ("stop", "FAILED", "Ray: NodeDiedError")


def test_no_further_job_is_handed_over_once_that_is_decided(tmp_path):
    outcomes = list(run(Engine("it died"), two_tasks(tmp_path), lambda outcome: False, Nobody()))
    assert [outcome.task.name for outcome in outcomes] == ["a"]
    assert not (tmp_path / "b").exists()


def test_a_stop_is_handed_on_and_told(tmp_path):
    engine = Engine("")
    with pytest.raises(KeyboardInterrupt):
        list(run(engine, two_tasks(tmp_path), lambda outcome: True, Nobody()))
    assert engine.stopped == [tmp_path / "a"]
    assert JobFolder(tmp_path / "a").records()[-1]["status"] == "KILLED"


class Queue(Engine):
    """Takes jobs and begins none of them."""

    def submit(self, config, folder):
        return folder


def test_a_job_that_was_stopped_in_an_engine_s_queue_has_not_failed(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        list(run(Queue(""), two_tasks(tmp_path), lambda outcome: True, Nobody()))
    job = JobFolder(tmp_path / "a")
    assert (job.never_started, job.failed, how_ended([job], started=0)) == (False, False, "KILLED")


def test_a_job_that_an_engine_has_refused_has_failed(tmp_path):
    (outcome,) = run(Queue("sbatch: no such partition"), two_tasks(tmp_path)[:1], lambda outcome: True, Nobody())
    assert outcome.error == "sbatch: no such partition"
    job = JobFolder(tmp_path / "a")
    assert (job.never_started, job.failed, how_ended([job], started=0)) == (True, True, "FAILED")


class Listener(Nobody):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.epochs = list[int]()

    def report(self, task, report):
        self.epochs.append(report.epoch)


def test_the_epochs_of_a_job_that_begins_again_are_told_again(tmp_path):
    metrics = dict.fromkeys(("train/loss", "train/accuracy", "val/loss", "val/accuracy", "time/train_seconds"), 0.5)

    def write(folder, epochs):
        with Journal(folder / "journal.jsonl") as journal:
            journal.append(stamp("start"))
            journal.append(stamp("ready", source={"train": 100}))
            for epoch in range(1, epochs + 1):
                journal.append(stamp("epoch", epoch=epoch, metrics=metrics))

    task, listener = Task("a", configuration(), tmp_path / "a"), Listener()
    task.folder.mkdir()
    write(task.folder, epochs=2)
    handed = Handed(task, "handle", epochs=2, before=None)
    follow(handed, listener)
    assert listener.epochs == []
    task.folder.rename(tmp_path / "set aside")  # as for a job of other code
    task.folder.mkdir()
    write(task.folder, epochs=1)
    follow(handed, listener)
    follow(handed, listener)
    assert listener.epochs == [1]


def test_a_plan_counts_the_places_of_this_machine_and_not_those_of_a_cluster_elsewhere(monkeypatch):
    monkeypatch.setattr("src.workers.places.cores", lambda: 4)
    here, elsewhere = (RayLauncher(address, cpus=None, gpus=0, init={}) for address in (None, "10.0.0.1:6379"))
    assert (here.places(2, "cpu"), elsewhere.places(2, "cpu")) == (2, 1)


SBATCH = """#!/bin/sh
cp "$1" {copy}
echo sbatch: error: none here >&2
exit 1
"""


def test_slurm_is_asked_for_what_the_configuration_says(command, tmp_path):
    needs("submitit_slurm")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in {"sbatch": SBATCH.format(copy=tmp_path / "asked"), "srun": "#!/bin/sh\n"}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    words = ["hydra/launcher=submitit_slurm", "hydra.launcher.parameters.slurm_partition=gpu", "threads=2"]
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    done = command("src.train", *words, "data=synthetic", "tracking=none", PATH=path)
    assert done.returncode != 0
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", (tmp_path / "asked").read_text(), re.MULTILINE))
    assert asked["partition"] == "gpu"
    assert asked["cpus-per-task"] == "2"
    assert asked["time"] == "60"
    assert asked["signal"] == "USR2@120"
    assert asked["mem"] == "4GB"
    assert "not taken: FailedJobError: sbatch: error: none here" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("hydra/launcher=ray hydra.launcher.address=127.0.0.1:1", "hydra.launcher.address=127.0.0.1:1: "),
        ("hydra/launcher=ray hydra.launcher.gpus=99", "no room for a job with hydra.launcher.cpus=1 and gpus=99"),
        ("hydra/launcher=ray hydra.launcher.gpus=many", "hydra.launcher.gpus"),
        ("hydra/launcher=submitit_local +hydra.launcher.parameters.timeout=3", "timeout"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_in_three_lines(command, words, said):
    needs(words.split()[0].partition("=")[2])
    done = command("src.train", *words.split(), "data=synthetic", "tracking=none")
    assert done.returncode == 2, done.stderr
    refusal = done.stderr[done.stderr.index("normlab: ") :]
    assert said in refusal
    assert len(refusal.splitlines()) <= 3
