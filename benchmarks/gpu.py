"""Checks what normlab claims about training on a GPU, and prints each claim with its measurement.

    python -m benchmarks.gpu                 all claims, about three minutes on one GPU
    python -m benchmarks.gpu --small         small jobs, also on a machine without a GPU, where steps are eager
    python -m benchmarks.gpu --only bits --json gpu.json

It needs no network, because MNIST is part of the project.  The exit status is 1 if a claim fails.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.faulty_jobs import BrokenAccess, TooMuchMemory
from benchmarks.ratios import environment, show_machine, write
from benchmarks.step import configuration
from src.config import Config, Regularization
from src.datasets import Synthetic
from src.models import NETWORKS
from src.norms.none import NoNorm
from src.options import SGD, AdamW, RMSprop
from src.progress import Update
from src.runs.folder import JobFolder
from src.workers.gpu import GpuEngine
from src.workers.machine import visible_gpus
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


@dataclass(frozen=True)
class Claim:
    """One claim, the measurement that shows it, and whether it holds."""

    text: str
    measured: str
    holds: bool


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

    def timed(self, text: str, measured: str, *, holds: bool) -> Claim:
        """Return a claim about a time, which says nothing if the jobs are small."""
        return Claim(text, measured, self.small or holds)

    def train(self, jobs: Mapping[str, Config], places: int = PLACES, display: "Watch | None" = None) -> "Trained":
        """Train jobs, `places` at once, in a new process."""
        self._count += 1
        folder = self._folder / str(self._count)
        display = display or Watch()
        start_fork_server(next(iter(jobs.values())).data)
        engine = display.engine = GpuEngine([{}], places)
        began = time.monotonic()
        try:
            tasks = [Task(name, config, folder / name) for name, config in jobs.items()]
            ends = {outcome.task.name: outcome.error for outcome in run_tasks(engine, tasks, lambda _: True, display)}
        finally:
            engine.stop()
        ended = time.monotonic()
        return Trained(folder, ends, ended - began, ended - (display.first_news or ended))


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
        return 1000 * float(epochs[-1]["metrics"]["time/train_seconds"]) / (images // 128)

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
            self.engine.kill_process(task.folder)


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


def compare(text: str, reference: Trained, other: Trained, *, names: Iterable[str]) -> Claim:
    """Return the claim that the named jobs of two trainings have equal bits."""
    ends = {name: other.ends.get(name) or reference.ends.get(name) for name in names}
    failed = [f"{name}: {end}" for name, end in ends.items() if end]
    different = [name for name in ends if not ends[name] and reference.bits(name) != other.bits(name)]
    measured = f"{len(ends) - len(failed) - len(different)} of {len(ends)} jobs equal"
    measured += f", different: {', '.join(different)}" if different else ""
    return Claim(text, "; ".join([measured, *failed]), not different and not failed)


def bits(bench: Bench) -> Iterator[Claim]:
    """Yield the claims about equal bits, and about deaths."""
    jobs = variants(bench)
    alone = bench.train(jobs, places=1)
    eager = bench.train(variants(bench, execution="eager"), places=1)
    yield compare("a graph gives the bits of eager steps", eager, alone, names=jobs)
    together = bench.train(jobs)
    yield compare("a job among seven others gives the bits of a job alone", alone, together, names=jobs)
    yield compare("two runs of one command give the same bits", together, bench.train(jobs), names=jobs)
    killed = bench.train(jobs, display=Watch("gn", times=1))
    yield compare("jobs of a killed process resume to the same bits", alone, killed, names=jobs)
    blamed = bench.train(jobs, display=Watch("gn", times=99))
    others = {name: config for name, config in jobs.items() if name != "gn"}
    claim = compare("only the job that kills its process fails", alone, blamed, names=others)
    yield replace(
        claim, measured=f"{claim.measured}; gn: {blamed.ends['gn']}", holds=claim.holds and "gn" in blamed.ends
    )
    wrong = replace(jobs["bn"], norm=NoNorm(), optimizer=replace(jobs["bn"].optimizer, lr=1e20))
    yield fails_alone(bench, "a job that raises", wrong, "Diverged", alone)


def fails_alone(bench: Bench, text: str, wrong: Config, error: str, alone: "Trained") -> Claim:
    """Return the claim that a job fails with an error, and leaves seven others their bits."""
    jobs = {name: config for name, config in variants(bench).items() if name != "bn_bfloat16"}
    trained = bench.train({"wrong": wrong, **jobs})
    claim = compare(f"{text} fails alone", alone, trained, names=jobs)
    reason = trained.ends["wrong"]
    return replace(claim, measured=f"{claim.measured}; {reason[:100]}", holds=claim.holds and error in reason)


def faults(bench: Bench) -> Iterator[Claim]:
    """Yield the claims about jobs that break the process, or need too much memory."""
    alone = bench.train(variants(bench), places=1)
    error = "CUDA error" if visible_gpus() else "IndexError"
    broken = bench.short(augmentation=BrokenAccess())
    yield fails_alone(bench, "a job that breaks the process's access to the GPU", broken, error, alone)
    hungry = bench.short(augmentation=TooMuchMemory())
    yield fails_alone(bench, "a job that needs too much memory", hungry, "OutOfMemoryError", alone)


def places(bench: Bench) -> Iterator[Claim]:
    """Yield the claim that the default number of jobs at once is the fastest."""
    jobs = {f"s{seed}": bench.job(seed=seed) for seed in range(4 if bench.small else 32)}
    steps = len(jobs) * (2 * 16 if bench.small else 4 * 429)
    ms = {}
    for number in (2, 4) if bench.small else (4, 8, 16):
        ms[number] = bench.train(jobs, places=number).seconds_after_first_epoch / steps * 1000
    measured = ", ".join(f"{number}: {value:.3f} ms" for number, value in ms.items())
    best = min(ms, key=ms.__getitem__)
    text = f"{PLACES} jobs at once take at most 10 % longer per step than the best number"
    yield bench.timed(text, f"{measured}, best {best}", holds=ms.get(PLACES, 0) <= 1.1 * ms[best])


def seeds(bench: Bench) -> Iterator[Claim]:
    """Yield the claims about many seeds of one network."""
    jobs = {f"s{seed}": bench.job(seed=seed) for seed in range(bench.seeds)}
    images = 268 if bench.small else 55_000
    single = bench.train({"eager": bench.job(execution="eager"), "s0": bench.job()}, places=1)
    together = bench.train(jobs)
    ms = [single.step_ms(name, images) for name in ("eager", "s0")]
    yield Claim(
        "a step of bn takes at most 0.3 ms alone",
        f"eager {ms[0]:.3f} ms, graph {ms[1]:.3f} ms",
        bench.small or ms[1] <= 0.3,
    )
    yield compare("one of many seeds gives the bits of the seed alone", single, together, names={"s0": 0})
    finished = sum(not end for end in together.ends.values())
    eager = JobFolder(single.folder / "eager").result()
    one_after_another = len(jobs) * (eager["seconds"]["total"] if eager else 0)
    measured = (
        f"{finished} of {len(jobs)} finished, {together.seconds:.1f} s, {together.seconds_after_first_epoch:.1f} s "
        f"after the first epoch; median job: {together.phases()}; eager one after another {one_after_another:.0f} s"
    )
    yield bench.timed("100 seeds of bn take at most 35 s", measured, holds=together.seconds_after_first_epoch <= 35)
    ratio = one_after_another / together.seconds
    yield bench.timed("100 seeds are 20 times as fast as one after another", f"{ratio:.1f} times", holds=ratio >= 20)


def command(bench: Bench) -> Iterator[Claim]:
    """Yield the claim about README's six runs."""
    words = ["src.train", "-m", "norm=bn,gn,ln", "reg.l1=0,1e-5", "tracking=none"]
    words += ["data=synthetic", "epochs=1"] if bench.small else []
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False
        )
        seconds = time.time() - began
        jobs = [JobFolder(path) for path in Path(folder).glob("multirun/jobs/*")]
        finished = [result for job in jobs if (result := job.result())]
        times = timeline([job.records() for job in jobs], finished, began)
    measured = f"{seconds:.1f} s; {times}"
    if done.returncode:
        measured += f"; exit status {done.returncode}: {done.stderr[-500:]}"
    yield Claim(
        "README's six runs take at most 12 s", measured, done.returncode == 0 and (bench.small or seconds <= 12)
    )


def timeline(journals: list[list[dict[str, Any]]], results: list[dict[str, Any]], began: float) -> str:
    """Return when the first and the last job reached each point, in seconds since the command began."""

    def span(moments: list[float]) -> str:
        after = sorted(moment / 1000 - began for moment in moments)
        return f"{after[0]:.1f} to {after[-1]:.1f} s" if after else "never"

    moments: dict[str, list[float]] = {}
    for records in journals:
        for record in records:
            moments.setdefault(f"{record['kind']} {record.get('epoch', '')}".strip(), []).append(record["time"])
    moments["finished"] = [result["finished"] for result in results]
    return ", ".join(f"{name}: {span(times)}" for name, times in moments.items())


def colour(bench: Bench) -> Iterator[Claim]:
    """Yield the claims about ResNet-20 on colour images."""
    if "resnet" not in NETWORKS or bench.small:
        yield Claim("ResNet-20 takes at most 2.4 ms a step in bfloat16", "not measured", holds=True)
        return
    config = bench.job(model=NETWORKS["resnet"](depth=20), data=COLOUR, epochs=3, precision="bfloat16")
    four = {str(seed): replace(config, seed=seed) for seed in range(4)}
    alone, together = (bench.train(four, places=places).step_ms("0", 12_800) for places in (1, 4))
    yield Claim("ResNet-20 takes at most 2.4 ms a step in bfloat16", f"{alone:.2f} ms", alone <= 2.4)
    yield Claim("and 1.3 ms per model with four at once", f"{together / 4:.2f} ms", together / 4 <= 1.3)


PARTS: dict[str, Callable[[Bench], Iterator[Claim]]] = {
    "bits": bits,
    "faults": faults,
    "seeds": seeds,
    "places": places,
    "command": command,
    "colour": colour,
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="part; you can repeat it (default: all)")
    parser.add_argument("--small", action="store_true", help="train small jobs; times then mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the claims as JSON")
    arguments = parser.parse_args()
    show_machine()
    print(f"{len(visible_gpus())} GPU(s)", flush=True)
    claims: list[Claim] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), small=arguments.small)
        for part in arguments.only or PARTS:
            began = time.monotonic()
            try:
                for claim in PARTS[part](bench):
                    claims.append(claim)
                    print(f"{'holds' if claim.holds else 'FAILS'}  {claim.text}: {claim.measured}", flush=True)
            except Exception as error:
                traceback.print_exc()
                claims.append(Claim(f"the part {part} ends", f"{type(error).__name__}: {error}", holds=False))
            print(f"       ({part}: {time.monotonic() - began:.1f} s)", flush=True)
    write(arguments.json, {"claims": [asdict(claim) for claim in claims]})
    sys.exit(int(not all(claim.holds for claim in claims)))


if __name__ == "__main__":
    main()
