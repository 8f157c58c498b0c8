"""Measures training steps on a GPU without the command, for `benchmarks.gpu --only precision` and `--only graphs`.

The jobs train in threads of this process, each on a stream of its own, as in a GPU's worker.  They write no files.
Without a GPU, the same code runs a few eager steps on the CPU, and its times mean nothing.
"""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml  # type: ignore[import-untyped]  # PyYAML ships no types
from torch import Tensor

from benchmarks.step import configuration
from src.config import Config, option_from_stored
from src.data.splits import load_splits
from src.datasets import Synthetic
from src.training import graph
from src.training.device import images_on, own_stream, pick_device, use_algorithms
from src.training.loop import train
from src.training.network import make_network
from src.training.optimizers import make_optimizer, make_schedule

STEPS = 128  # per epoch; the first of two epochs chooses kernels and records the graph
COLOUR = Synthetic(
    batch_size=128,
    validation=128,
    split_seed=0,
    classes=10,
    channels=3,
    size=32,
    images=STEPS * 128 + 128,
    test_images=128,
    noise=0.5,
)
NETWORKS = ("cnn", "course", "resnet", "vgg", "vit", "airbench")  # with the values of conf/model; resnet is ResNet-20
PRECISIONS = ("float32", "tf32", "bfloat16")
FORMATS = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}


def step_configuration(network: str, *, small: bool, **changes: Any) -> Config:
    """Return the configuration of a job with batch normalisation; its images have 28 x 28 pixels for `cnn`, or 32."""
    keys = yaml.safe_load((Path(__file__).parents[1] / "conf" / "model" / f"{network}.yaml").read_text())
    data = replace(COLOUR, channels=1, size=28) if network == "cnn" else COLOUR
    if small:
        data = replace(data, batch_size=8, images=3 * 8 + 8, validation=8, test_images=8)
    changes = {"model": option_from_stored("model", keys), "data": data, "epochs": 2, **changes}
    return replace(configuration("bn", ""), **changes)


def step_ms(config: Config, jobs: int = 1, memory_format: torch.memory_format = torch.channels_last) -> float:
    """Return the milliseconds per step and job in the second epoch of `jobs` jobs that train at once."""
    torch.set_num_threads(config.threads)
    device = pick_device(config.device)
    use_algorithms(device, deterministic=device.type == "cuda" and not config.nondeterministic)
    images, splits = load_splits(config.data)
    splits, steps = images_on(splits, device), len(splits.train) // config.data.batch_size
    all_have_recorded = threading.Barrier(jobs)

    def arrange(batch: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return batch.contiguous(memory_format=memory_format), labels

    def run(seed: int) -> float:
        with own_stream(device):
            job = replace(config, seed=seed)
            model = make_network(job, images.source).to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
            optimizer = make_optimizer(model, job.optimizer, job.reg)
            schedule = make_schedule(optimizer, job.schedule, job.epochs, steps)
            epochs = train(model, splits, optimizer, schedule, job, augment=arrange)
            next(epochs)
            all_have_recorded.wait(timeout=300)
            _, metrics = next(epochs)
            return metrics["time/train_seconds"]

    with ThreadPoolExecutor(jobs) as threads:
        return 1000 * max(threads.map(run, range(jobs))) / (steps * jobs)


@contextlib.contextmanager
def tf32(*, allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 for convolutions and matrix products; by default, torch allows it for convolutions only."""
    backends: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = allowed
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def precision_rows(*, small: bool) -> Iterator[tuple[str, str]]:
    """Yield the times of a network's step in each precision and memory format: the network and precision, the times."""
    for network in NETWORKS:
        for precision in PRECISIONS:
            config = step_configuration(
                network, small=small, precision="bfloat16" if precision == "bfloat16" else "float32"
            )
            try:
                with tf32(allowed=precision == "tf32"):
                    times = {name: step_ms(config, memory_format=layout) for name, layout in FORMATS.items()}
                measured = ", ".join(f"{name} {ms:.3f} ms" for name, ms in times.items())
            except RuntimeError as error:  # for example, the network has no deterministic algorithm there
                measured = str(error).partition("\n")[0]
            yield f"{network} in {precision}", measured


def graph_rows(*, small: bool) -> Iterator[tuple[str, str]]:
    """Yield the times of a step of `cnn` for each number of steps per graph and of jobs at once."""
    config, default = step_configuration("cnn", small=small), graph.STEPS_PER_GRAPH
    try:
        for steps in (1, 2) if small else (1, 2, 4, 8, 16, 32):
            graph.STEPS_PER_GRAPH = steps
            times = {jobs: step_ms(config, jobs) for jobs in ((1, 2) if small else (1, 4, 8, 16))}
            text = ", ".join(f"{jobs} at once {ms:.3f} ms" for jobs, ms in times.items())
            yield f"{steps} steps per graph", text
    finally:
        graph.STEPS_PER_GRAPH = default
