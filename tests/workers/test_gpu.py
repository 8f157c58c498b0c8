"""Several jobs in one process, as on a GPU; here they train on the CPU."""

from dataclasses import replace

import pytest
from safetensors.numpy import load_file

from benchmarks.faulty_jobs import TooMuchMemory, kill_process
from src.config import Regularization
from src.job import run_job
from src.runs.folder import JobFolder
from src.runs.journal import read_journal
from src.workers.engines import train_here
from src.workers.gpu import GpuEngine
from src.workers.processes import start_fork_server
from src.workers.queue import Display, Task, run_tasks
from tests.world import DATA, NORMS, configuration

DATA = replace(DATA, images=600)
SEEDS = range(3)


def job(seed, **changes):
    reg = Regularization(dropout=0.3, l1=1e-4)
    return replace(configuration("bn", seed, data=DATA), reg=reg, device="cpu", **changes)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The weights and curves of each seed's job, trained alone in this process."""
    folder = tmp_path_factory.mktemp("alone")
    for seed in SEEDS:
        run_job(job(seed), folder / str(seed))
    return {seed: traces(folder / str(seed)) for seed in SEEDS}


def traces(folder):
    """Everything that must not depend on where a job was trained."""
    epochs = [record["metrics"] for record in read_journal(folder / "journal.jsonl") if record["kind"] == "epoch"]
    curves = [{name: value for name, value in metrics.items() if "time" not in name} for metrics in epochs]
    weights = load_file(folder / "weights.safetensors")
    predictions = (folder / "predictions.npz").read_bytes()
    return curves, {name: value.tobytes() for name, value in weights.items()}, predictions


class Killer(Display):
    """Kills the process that trains a job whenever the job reports an epoch, up to `times` times."""

    def __init__(self, engine, name, times):
        self.engine, self.name, self.times, self.shared = engine, name, times, []

    def show_progress(self, task, update):
        process = self.engine._gpus[0]._process
        if task.name == self.name and self.times and process and task.folder in process.jobs:
            self.times -= 1
            self.shared.append(len(process.jobs))
            kill_process(self.engine, task.folder)


@pytest.fixture
def train(tmp_path):
    """Train jobs with an engine, and return how each one ended, by its name."""
    start_fork_server(DATA)

    def train(tasks, display=None, places=3):
        engine = GpuEngine([{}], places)
        show = display(engine) if display else Display()
        named = [Task(name, config, tmp_path / name) for name, config in tasks.items()]
        return {outcome.task.name: outcome.error for outcome in run_tasks(engine, named, lambda _: True, show)}

    return train


def test_an_error_ends_only_its_own_job_and_changes_no_bits_of_the_others(train, alone, tmp_path, capsys):
    wrong = job(9, norm=NORMS["none"], optimizer=replace(job(9).optimizer, lr=1e20))
    tasks = {"wrong": wrong, "hungry": job(9, augmentation=TooMuchMemory()), **{str(seed): job(seed) for seed in SEEDS}}
    ends = train(tasks)
    assert ends.pop("wrong").startswith("Diverged")
    assert ends.pop("hungry") == "OutOfMemoryError: a tensor of 1 TB"
    assert ends == dict.fromkeys(map(str, SEEDS), "")
    assert {seed: traces(tmp_path / str(seed)) for seed in SEEDS} == alone
    log = (tmp_path / "0" / "train.log").read_text()
    assert [log.count(text) for text in ("epoch 1/3", "epoch 3/3", "Diverged", "OutOfMemory")] == [1, 1, 0, 0]
    assert "hungry: the GPU's memory ran out with 3 jobs; now at most 1 at once" in capsys.readouterr().err


def test_a_job_without_memory_waits_for_a_smaller_number_of_jobs_and_resumes(train, alone, tmp_path, capsys):
    second_epoch, marker = (DATA.images - DATA.validation) // DATA.batch_size, str(tmp_path / "marker")
    once = TooMuchMemory(first_step=second_epoch, marker=marker, message="CUDA error: out of memory")  # not torch's
    ends = train({"0": job(0, augmentation=once), "1": job(1), "2": job(2)})
    assert ends == {"0": "", "1": "", "2": ""}
    assert "0: the GPU's memory ran out with 3 jobs; now at most 1 at once" in capsys.readouterr().err
    kinds = [record["kind"] for record in JobFolder(tmp_path / "0").records()]
    assert kinds == ["start", "ready", "epoch", "stop", "resume", "epoch", "epoch"]
    assert {seed: traces(tmp_path / str(seed)) for seed in SEEDS} == alone


def test_only_the_job_that_kills_its_process_fails_and_the_others_resume_to_the_same_bits(train, alone, tmp_path):
    killers = []

    def killer(engine):
        killers.append(Killer(engine, "1", times=9))
        return killers[0]

    ends = train({str(seed): job(seed) for seed in SEEDS}, killer)
    assert "SIGKILL" in ends.pop("1")
    assert ends == {"0": "", "2": ""}
    assert killers[0].shared[0] > 1  # others were in the process
    assert killers[0].shared[1:] == [1]  # it was alone when it was found
    assert all(traces(tmp_path / name) == alone[int(name)] for name in ends)
    assert any(record["kind"] == "resume" for name in ends for record in JobFolder(tmp_path / name).records())


def test_the_next_job_trains_while_pictures_of_the_last_one_are_drawn(train, alone, tmp_path):
    class Slots(Display):
        def __init__(self, engine):
            self.engine = engine

        def show_start(self, task, gpu=""):
            started.append((task.name, self.engine.slots))

    started = []
    assert train({"0": job(0), "1": job(1)}, Slots, places=1) == {"0": "", "1": ""}
    assert started == [("0", 1), ("1", 2)]  # the number of slots when each job started
    assert JobFolder(tmp_path / "1").records()[0]["time"] < JobFolder(tmp_path / "0").result()["finished"]
    assert all(traces(tmp_path / str(seed)) == alone[seed] for seed in (0, 1))


def test_ctrl_c_ends_the_process_and_the_journals_say_so(train, alone, tmp_path):
    class Interrupt(Display):
        def show_progress(self, task, update):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train({"0": job(0), "2": job(2)}, lambda engine: Interrupt())
    statuses = [JobFolder(tmp_path / name).records()[-1].get("status") for name in ("0", "2")]
    assert set(statuses) == {"KILLED"}
    assert train({"0": job(0), "2": job(2)}) == {"0": "", "2": ""}
    assert all(traces(tmp_path / str(seed)) == alone[seed] for seed in (0, 2))


def test_jobs_that_an_engine_sends_to_a_gpu_share_a_process(tmp_path, monkeypatch):
    """Without a GPU, the process trains them on the CPU."""
    start_fork_server(DATA)
    engines = []

    def engine(*arguments):
        engines.append(arguments)
        return GpuEngine(*arguments)

    monkeypatch.setattr("src.workers.engines.GpuEngine", engine)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.chdir(tmp_path)
    fine = configuration("bn", data=DATA)
    wrong = replace(fine, norm=NORMS["none"], optimizer=replace(fine.optimizer, lr=1e20))
    ends = train_here([(fine, tmp_path / "0"), (wrong, tmp_path / "1")], tmp_path, jobs_per_gpu=2)
    assert engines == [([{"CUDA_VISIBLE_DEVICES": "0"}], 2)]
    assert [end.partition(":")[0] for end in ends] == ["", "Diverged"]


def test_a_signal_to_the_process_stops_its_jobs_and_blames_none(train, tmp_path):
    """As a signal does that Slurm sends before it preempts a job."""

    class Preempt(Display):
        def show_progress(self, task, update):
            if process := engines[0]._gpus[0]._process:
                process.process.terminate()

    engines = []
    ends = train({"0": job(0), "1": job(1)}, lambda engine: engines.append(engine) or Preempt())
    assert set(ends.values()) == {"Terminated: received signal 15"}
    assert {JobFolder(tmp_path / name).records()[-1]["status"] for name in ends} == {"KILLED"}
