"""Trains the jobs of `benchmarks.gpu` in temporary folders, and reads what they leave there."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.faulty_jobs import kill_process
from benchmarks.step import configuration
from src.config import Config, Regularization
from src.datasets import Synthetic
from src.options import SGD, AdamW, RMSprop
from src.progress import Update
from src.runs.folder import JobFolder
from src.workers.gpu import GpuEngine
from src.workers.processes import start_fork_server
from src.workers.queue import Display, Task, run_tasks

PLACES = 8
SMALL_DATA = Synthetic(
    batch_size=16, validation=32, split_seed=0, classes=4, channels=1, size=28, images=300, test_images=32, noise=0.5
)
COLOUR = Synthetic(
    batch_size=128,
    validation=256,
    split_seed=0,
    classes=10,
    channels=3,
    size=32,
    images=12_800 + 256,
    test_images=256,
    noise=0.5,
)


class Bench:
    """Trains jobs in temporary folders, large ones on a GPU or small ones on any machine."""

    def __init__(self, folder: Path, *, small: bool) -> None:
        self.small, self._folder, self._count = small, folder, 0
        self.seeds = 6 if small else 100

    def job(self, norm: str = "bn", seed: int = 0, **changes: Any) -> Config:
        """Return the configuration of one job of README's six runs, or of a small one."""
        config = replace(configuration(norm, ""), seed=seed, epochs=4)
        if self.small:
            config = replace(config, data=SMALL_DATA, epochs=2)
        return replace(config, **changes)

    def short(self, **changes: Any) -> Config:
        """Return the configuration of a job that is long enough to compare bits."""
        config = self.job(**changes)
        return config if self.small else replace(config, epochs=3, data=replace(config.data, limit=100 * 128))

    @cached_property
    def alone(self) -> "Trained":
        """The jobs of `variants`, trained one after another."""
        return self.train(variants(self), places=1)

    def train(self, jobs: Mapping[str, Config], places: int = PLACES, display: "Watch | None" = None) -> "Trained":
        """Train jobs, `places` at once, in a new process, and print how long that took."""
        self._count += 1
        folder = self._folder / str(self._count)
        display = display or Watch()
        start_fork_server(next(iter(jobs.values())).data)
        engine = display.engine = GpuEngine([{}], places)
        began = time.monotonic()
        tasks = [Task(name, config, folder / name) for name, config in jobs.items()]
        ends = {outcome.task.name: outcome.error for outcome in run_tasks(engine, tasks, lambda _: True, display)}
        ended = time.monotonic()
        trained = Trained(folder, ends, ended - began, ended - (display.first_news or ended))
        finished = sum(not end for end in ends.values())
        text = f"{finished} of {len(jobs)} jobs finished, {places} at once: {trained.seconds:.1f} s, "
        print(f"       {text}{trained.seconds_after_first_epoch:.1f} s after the first epoch", flush=True)
        return trained


@dataclass(frozen=True)
class Trained:
    """The folders of trained jobs, how they ended, and the seconds since the start and since the first epoch."""

    folder: Path
    ends: dict[str, str]
    seconds: float
    seconds_after_first_epoch: float

    def bits(self, name: str) -> str:
        """Return a digest of a job's curves, weights and predictions."""
        epochs = [record["metrics"] for record in self._records(name) if record["kind"] == "epoch"]
        curves = [{key: value for key, value in metrics.items() if "time" not in key} for metrics in epochs]
        files = [(self.folder / name / file).read_bytes() for file in ("weights.safetensors", "predictions.npz")]
        return hashlib.sha256(b"".join([repr(curves).encode(), *files])).hexdigest()

    def step_ms(self, name: str, images: int) -> float:
        """Return the milliseconds per training step in the job's last epoch."""
        epochs = [record for record in self._records(name) if record["kind"] == "epoch"]
        batch_size = self._records(name)[0]["config"]["data"]["batch_size"]
        return 1000 * float(epochs[-1]["metrics"]["time/train_seconds"]) / (images // int(batch_size))

    def phases(self) -> str:
        """Return how long the median job took from each of its journal's records to the next."""
        lengths: dict[str, list[float]] = {}
        for name in (name for name, end in self.ends.items() if not end):
            result = JobFolder(self.folder / name).result()
            records = [*self._records(name), {"kind": "finished", "time": result["finished"] if result else 0}]
            for before, after in pairwise(records):
                key = f"{after['kind']} {after.get('epoch', '')}".strip()
                lengths.setdefault(key, []).append(after["time"] - before["time"])
        return ", ".join(f"{key} {median(values):.0f} ms" for key, values in lengths.items())

    def _records(self, name: str) -> list[dict[str, Any]]:
        return JobFolder(self.folder / name).records()


class Watch(Display):
    """Notes when the first epoch ends, and kills a process at the first epoch of the job `victim`."""

    engine: GpuEngine
    first_news: float | None = None

    def __init__(self, victim: str = "", times: int = 0) -> None:
        self._victim, self._times = victim, times

    def show_progress(self, task: Task, update: Update) -> None:
        """Note an update."""
        self.first_news = self.first_news or time.monotonic()
        if task.name == self._victim and self._times:
            self._times -= 1
            kill_process(self.engine, task.folder)


def variants(bench: Bench, **changes: Any) -> dict[str, Config]:
    """Return jobs that use every kind of step."""
    all_of_reg = Regularization(l1=1e-5, l2=1e-4, dropout=0.3, label_smoothing=0.1)
    adamw = AdamW(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8)
    sgd = SGD(lr=0.05, momentum=0.9, nesterov=True)
    rmsprop = RMSprop(lr=0.001, alpha=0.99, eps=1e-8, momentum=0.9)
    return {
        "bn": bench.short(**changes),
        "gn": bench.short(norm="gn", **changes),
        "ln": bench.short(norm="ln", **changes),
        "bn_reg": bench.short(reg=all_of_reg, **changes),
        "gn_adamw": bench.short(norm="gn", optimizer=adamw, reg=Regularization(l2=0.01, dropout=0.2), **changes),
        "bn_sgd": bench.short(optimizer=sgd, **changes),
        "bn_rmsprop": bench.short(optimizer=rmsprop, **changes),
        "bn_bfloat16": bench.short(precision="bfloat16", **changes),
    }
