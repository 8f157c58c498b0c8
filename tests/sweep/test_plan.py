"""The plan of a sweep, made from job folders with synthetic numbers."""

import dataclasses
import resource
import time
from collections.abc import Sequence

import pytest

from src.augmentation.crop_flip import CropFlip
from src.augmentation.trivial import Trivial
from src.config import Config
from src.data.images import Source
from src.data.label_noise import changed_label_count
from src.data.sources import EMBEDDED_MNIST, load
from src.datasets import MNIST
from src.options import AdamW, ScheduleFree
from src.runs.identity import find_varying_keys, identity, job_key, sweep_id
from src.runs.journal import stamp
from src.runs.known_folders import KnownFolders, plan_job
from src.runs.sweep import Sweep
from src.storage.lock import job_lock
from src.sweep.dataset_lines import dataset_lines
from src.sweep.grid import GridJob
from src.sweep.pace import typical_seconds
from src.sweep.plan import MAX_ROWS, Plan
from src.training.network import count_parameters, make_network
from tests.conftest import files_below, python
from tests.world import NORMS, World, configuration


def plan(world: World, configs: Sequence[Config]) -> Plan:
    known = KnownFolders(world.multirun)
    jobs = []
    for config in configs:
        source = load(config.data).source
        jobs.append(GridJob({}, config, job_key(identity(config, source.digest)), source, image_count=30))
    varies = find_varying_keys(job.settings for job in jobs)
    planned = [plan_job(job.key, job.settings, varies, ["reg.l1"], known) for job in jobs]
    sweep = Sweep(sweep_id(job.key for job in jobs), "python -m src.train", 1, varies, planned)
    return Plan(sweep, jobs, world.multirun)


def advance(world: World, config: Config, epochs: int, *, error: str = "", code: str | None = None) -> None:
    """Write a job with this many complete epochs, which failed if there is an error."""
    _, journal = world.start(config, code=code)
    with journal:
        for epoch in range(1, epochs + 1):
            journal.append(stamp("epoch", epoch=epoch, metrics={"time/train_seconds": 1.0}))
        if error:
            journal.append(stamp("stop", status="FAILED", error=error))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("width", "channels", "classes"), [(16, 1, 10), (3, 3, 7)])
def test_the_plan_counts_the_parameters_of_the_real_network(norm, width, channels, classes):
    config = configuration(norm)
    config.norm = dataclasses.replace(config.norm, **({"groups": 1} if norm == "gn" else {}))
    config.model.width = width
    source = Source("", "", 1, 1, channels, 28, tuple(map(str, range(classes))))
    network = make_network(config, source)
    assert count_parameters(config, source) == sum(weights.numel() for weights in network.parameters())


def test_the_plan_shows_the_status_of_each_job(world):
    world.finish(configuration("bn"), {})
    world.finish(configuration("gn"), {}, code="0" * 64)
    advance(world, configuration("ln"), 2)
    advance(world, configuration("in"), 1, error="Diverged: the loss is nan")
    advance(world, configuration("bn", 1), 2, code="0" * 64)
    advance(world, configuration("gn", 1), 0)
    before = files_below(world.multirun)
    requested = [("bn", 0), ("gn", 0), ("ln", 0), ("in", 0), ("bn", 1), ("gn", 1), ("none", 0)]
    planned = plan(world, [configuration(*job) for job in requested])
    assert [row.status.text for row in planned.rows] == [
        "finished",
        "finished with other code",
        "resumes after epoch 2 of 3",
        "failed after 1 of 3 epochs: Diverged: the loss is nan",
        "to train: starts again, because other code trained 2 of 3 epochs",
        "to train",
        "to train",
    ]
    (line,) = dataset_lines([row.grid_job for row in planned.rows])
    assert line.startswith("data: synthetic, 30 training, 10 validation and 100 test images, 28 x 28 pixels, grey, ")
    lines = planned.summary_lines()
    assert lines[0].endswith(": 7 jobs (varied keys: norm.name, seed), 2 already finished")
    assert lines[1] == "all jobs: l1=0"  # all have it, so the jobs' names omit it
    assert "interrupted: ln s0 (resumes after epoch 2 of 3)" in lines
    assert "finished with other code: gn s0; resume=restart retrains them" in lines
    assert files_below(world.multirun) == before


def test_the_plan_counts_the_labels_that_noise_changes(world):
    configs = [configuration(norm) for norm in ("bn", "gn")]
    for config in configs:
        config.data = dataclasses.replace(config.data, label_noise=0.5, noise_seed=1)
    changed = changed_label_count(configs[0].data, load(configs[0].data))
    assert changed > 0
    assert dataset_lines([row.grid_job for row in plan(world, configs).rows])[1:] == [
        f"label noise: data.label_noise=0.5 data.noise_seed=1 changes {changed} of 30 training labels"
    ]


def test_the_plan_shows_a_job_that_another_process_trains(world):
    advance(world, configuration("bn"), 1)
    folder = world.multirun / "jobs" / world.plan(configuration("bn")).folder
    with job_lock(folder):
        (row,) = plan(world, [configuration("bn")]).rows
    assert row.status.text == "another process is training it (1 of 3 epochs done)"


def test_a_job_with_an_empty_journal_is_to_train(world):
    config = configuration("bn")
    (world.multirun / "jobs" / world.plan(config).folder).mkdir(parents=True)
    assert [row.status.text for row in plan(world, [config]).rows] == ["to train"]


def test_a_larger_sweep_trains_only_the_new_jobs(world):
    for norm in ("gn", "ln"):
        world.finish(configuration(norm), {})
    planned = plan(world, [configuration(norm) for norm in ("bn", "gn", "ln")])
    assert [row.job.label for row in planned.rows if row.needs_training] == ["bn l1=0 s0"]
    assert "2 already finished" in planned.summary_lines()[0]


def test_a_restart_retrains_finished_jobs(world):
    world.finish(configuration("bn"), {}, seconds=3.0)
    config = dataclasses.replace(configuration("bn"), resume="restart")
    planned = plan(world, [config])
    assert [row.needs_training for row in planned.rows] == [True]
    assert planned.table_lines()[-1] == "resume=restart moves the old folders away and retrains every job"
    assert "about 4 s for 1 job" in planned.cost_lines()[0]


def test_there_is_no_estimate_before_a_job_has_finished(world):
    advance(world, configuration("bn"), 1)
    seconds, disk = plan(world, [configuration("bn")]).cost_lines()
    assert seconds == "time: unknown until the first job has finished"
    assert disk.startswith("disk: about 11 MB of ")
    planned = plan(world, [configuration("bn"), configuration("gn")])
    assert planned.cost_lines(8, "2 GPUs")[0] == f"{seconds}; 2 jobs on 2 GPUs, 2 at once"


def test_the_disk_has_room_for_the_weights_and_for_the_checkpoints_of_the_jobs_in_training(world):
    """A network of 128 channels per block has 0.9 million weights of 4 bytes.

    The job's folder and MLflow each keep them; each of a job's two checkpoints has them and two moments of Adam.
    """
    configs = [configuration("bn", seed) for seed in range(3)]
    for config in configs:
        config.model.width = 128
    planned = plan(world, configs)
    weights = 4 * count_parameters(configs[0], planned.rows[0].grid_job.source) / 1e6  # MB
    for at_once in (1, 2):
        words = planned.cost_lines(at_once)[1].split()
        assert int(words[2]) == pytest.approx(10 + 3 * 1 + 3 * 2 * weights + at_once * 6 * weights, abs=1)


def test_a_finished_sweep_costs_nothing(world):
    world.finish(configuration("bn"), {})
    assert plan(world, [configuration("bn")]).cost_lines() == ["nothing left to train"]


def test_time_is_estimated_from_the_most_similar_jobs(world):
    """All jobs train 3 epochs of 30 images and need 1 s more; the median over all is 4 s of training."""
    world.finish(configuration("bn"), {}, seconds=2.0)
    world.finish(configuration("gn"), {}, seconds=20.0)
    world.finish(configuration("ln"), {}, seconds=4.0)
    assert "about 3 s for 1 job, " in plan(world, [configuration("bn", 1)]).cost_lines()[0]
    assert "about 21 s for 1 job, " in plan(world, [configuration("gn", 1)]).cost_lines()[0]
    (guess, _) = plan(world, [configuration("none")]).cost_lines()
    assert "about 5 s" in guess
    assert "1 estimate from jobs with another network" in guess
    longer = dataclasses.replace(configuration("bn", 1), epochs=30)
    assert "about 21 s for 1 job, " in plan(world, [longer]).cost_lines()[0]


def test_the_plan_warns_once_of_mirrored_characters(world):
    def warnings(data, flip):
        config = configuration(data=data)
        augmentations = CropFlip(padding=4, flip=flip), Trivial(padding=4, flip=flip)
        configs = [dataclasses.replace(config, augmentation=augmentation) for augmentation in augmentations]
        return [line for line in plan(world, configs).summary_lines() if "mirrors half of the characters" in line]

    digits = MNIST(batch_size=8, validation=10, split_seed=0)
    (warning,) = warnings(digits, flip=True)
    assert "of mnist" in warning
    assert "augmentation.flip=false" in warning
    assert not warnings(digits, flip=False)
    assert not warnings(configuration().data, flip=True)


def test_a_step_with_sam_counts_as_two(world):
    """Jobs with and without SAM are timed per pass, so each predicts the other."""
    world.finish(configuration("bn"), {}, seconds=2.0)
    sam = configuration("bn", 1)
    sam.reg.sam = 0.05
    planned = plan(world, [sam])
    assert "about 5 s for 1 job, " in planned.cost_lines()[0]
    assert "reg.sam needs two passes per step, so training takes twice as long" in planned.summary_lines()
    world.finish(sam, {}, seconds=4.0)
    assert "about 3 s for 1 job, " in plan(world, [configuration("bn", 2)]).cost_lines()[0]


def test_the_plan_says_that_l2_is_a_penalty_under_adamw_too(world):
    penalised = configuration("bn", l2=0.01)
    decayed = configuration("bn")
    decayed.reg.weight_decay = 0.01
    for config in (penalised, decayed):
        config.optimizer = AdamW(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8)
    warning = "reg.l2=0.01 is a penalty in the loss, also with adamw; its decay is reg.weight_decay"
    assert plan(world, [penalised]).summary_lines().count(warning) == 1
    assert warning not in plan(world, [decayed, configuration("bn", l2=0.01)]).summary_lines()


def test_the_plan_says_if_training_is_too_short_for_an_average(world):
    """3 epochs of 30 images in batches of 8 are 9 steps."""
    averaged = configuration("bn")
    averaged.reg.ema = 0.9
    warning = "reg.ema=0.9 needs longer training: the first weights are 39 % of the average after 9 steps"
    assert warning in plan(world, [averaged]).summary_lines()
    averaged.epochs = 30
    assert not [line for line in plan(world, [averaged]).summary_lines() if "reg.ema" in line]


def test_the_plan_says_that_schedule_free_steps_are_no_graphs_on_a_gpu(world):
    config = configuration("bn")
    config.optimizer = ScheduleFree(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8, warmup_steps=0)
    warning = "optimizer=schedulefree runs without CUDA graphs, because its step uses Python numbers"
    for config.device, is_warned in (("cuda", True), ("cpu", False)):
        assert (warning in plan(world, [config]).summary_lines()) == is_warned


def test_an_estimate_for_another_augmentation_is_rough(world):
    world.finish(configuration("bn"), {}, seconds=2.0)
    augmented = dataclasses.replace(configuration("bn", 1), augmentation=CropFlip(padding=4, flip=True))
    assert "1 estimate from jobs with another network" in plan(world, [augmented]).cost_lines()[0]


def test_parallel_jobs_share_the_time_but_the_longest_one_is_the_minimum(world):
    world.finish(configuration("bn"), {}, seconds=20.0)
    three = [configuration("bn", seed) for seed in (1, 2, 3)]
    assert "about 1 min 3 s for 3 jobs, one after another, " in plan(world, three).cost_lines()[0]
    assert "about 32 s for 3 jobs, 2 at once, " in plan(world, three).cost_lines(2)[0]
    assert "about 21 s for 3 jobs, 3 at once, " in plan(world, three).cost_lines(8)[0]
    assert "for 3 jobs on 1 GPU (H200), 3 at once, " in plan(world, three).cost_lines(8, "1 GPU (H200)")[0]
    longer = [*three, dataclasses.replace(configuration("bn", 4), epochs=30)]
    assert "about 3 min 21 s for 4 jobs, 2 at once, " in plan(world, longer).cost_lines(2)[0]


def test_complete_epochs_cost_no_more_time(world):
    world.finish(configuration("bn"), {}, seconds=30.0)
    advance(world, configuration("bn", 1), 2)
    assert "about 11 s for 1 job, " in plan(world, [configuration("bn", 1)]).cost_lines()[0]


@pytest.mark.parametrize("file", ["journal.jsonl", "result.json"])
def test_a_job_with_damaged_files_gives_no_estimate(world, file):
    job = world.finish(configuration("bn"), {})
    (world.multirun / "jobs" / job.folder / file).write_bytes(b"nothing like it\n")
    assert plan(world, [configuration("bn", 1)]).cost_lines()[0] == "time: unknown until the first job has finished"
    assert typical_seconds(world.multirun / "jobs") == 0
    world.finish(configuration("gn"), {}, seconds=5.0)
    assert typical_seconds(world.multirun / "jobs") == 6  # and a second besides


def test_few_jobs_have_one_line_each_and_many_jobs_one_line_for_each_cell(world):
    few = plan(world, [configuration(norm) for norm in ("bn", "gn", "ln")]).table_lines()
    assert few == [
        "  job    parameters  status",
        "  bn s0       3,892  to train",
        "  gn s0       3,892  to train",
        "  ln s0       3,892  to train",
    ]
    world.finish(configuration("bn", 1), {})
    many = plan(world, [configuration(norm, seed) for norm in ("bn", "gn") for seed in range(30)]).table_lines()
    assert many[1:] == [
        "  bn, 30 seeds       3,892  29 to train, 1 finished",
        "  gn, 30 seeds       3,892  30 to train",
    ]
    cells = plan(world, [configuration("bn", 0, l1) for l1 in range(50)]).table_lines()
    assert len(cells) == 1 + MAX_ROWS + 1
    assert cells[-1] == "  and 30 more lines; the sweep has 50 jobs in all"


def test_the_summary_names_a_few_jobs_with_changed_data(world):
    def at(seed):
        data = MNIST(root=str(EMBEDDED_MNIST), batch_size=8, validation=10, split_seed=0)
        return dataclasses.replace(configuration("bn", seed), data=data)

    configs = [at(seed) for seed in range(8)]
    for config in configs:
        advance(world, config, 1)
    for folder in list((world.multirun / "jobs").iterdir()):
        folder.rename(folder.with_name(f"{folder.name[:-8]}00000000"))
    summary = plan(world, configs).summary_lines()
    assert sum("has changed since" in line for line in summary) == 5
    assert summary[-1] == "the data of 3 more jobs has also changed"


@pytest.mark.slow
def test_a_plan_of_ten_thousand_jobs_takes_seconds_and_writes_nothing(tmp_path):
    grids = (
        ("seed=range(0,10000)",),
        ("norm=bn,gn,ln", "reg.l1=0,1e-6,2e-6,5e-6,1e-5,2e-5,5e-5,1e-4,2e-4,5e-4", "seed=range(0,334)"),
    )
    for words in grids:
        began = time.perf_counter()
        done = python(tmp_path, "-m", "src.train", "-m", *words, "sweep.max_jobs=10020", "plan=true")
        assert done.returncode == 0, done.stderr
        assert time.perf_counter() - began < 15
    assert "10,020 jobs" in done.stdout
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < 1e9  # of the largest so far
    assert files_below(tmp_path) == []


@pytest.mark.slow
def test_a_larger_sweep_leaves_finished_jobs_unchanged(command, tmp_path):
    def results():
        return {path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob("multirun/jobs/*/result.json")}

    small = ("data=synthetic", "data.images=200", "data.validation=50", "epochs=1", "tracking=none")
    done = command("src.train", "-m", "norm=gn,ln", *small)
    assert done.returncode == 0, done.stderr
    first, there = results(), files_below(tmp_path)
    assert len(first) == 2
    planned = command("src.train", "-m", "norm=bn,gn,ln", *small, "plan=true")
    assert planned.returncode == 0, planned.stderr
    assert [line.split()[-1] for line in planned.stdout.splitlines()[2:5]] == ["train", "finished", "finished"]
    assert "for 1 job," in planned.stdout
    assert files_below(tmp_path) == there
    done = command("src.train", "-m", "norm=bn,gn,ln", *small)
    assert done.returncode == 0, done.stderr
    assert "3 jobs (varied keys: norm.name), 2 already finished" in done.stderr
    assert first.items() <= results().items()
    assert len(results()) == 3
