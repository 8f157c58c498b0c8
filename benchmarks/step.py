"""Compares normlab's training step with a bare loop and with a matrix product, for each norm and penalty.

    python -m benchmarks.step
    python -m benchmarks.step --pairs 40 --steps 150 --norm gn --json step.json

The bare loop has the same network, optimizer, schedule and penalty.  Its batches are ready in memory, and it logs
nothing.  Both loops run in alternation on one thread, in one process.  The column `share` shows how fast the
convolutions and linear layers run, forward and backward, relative to a 1024 x 1024 matrix product on one thread (both
in floating-point operations per second).
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ratios import against_itself, in_turns, ratio, show_machine, write
from src.config import Config, Regularization, check_config
from src.data.sources import load
from src.data.splits import Splits, make_splits
from src.datasets import MNIST
from src.models.cnn import CNN
from src.norms.bn import BatchNorm
from src.norms.gn import GroupNorm
from src.norms.ln import LayerNorm
from src.norms.none import NoNorm
from src.options import Adam, NoTracking, OneCycle
from src.training.loop import train
from src.training.network import make_network
from src.training.optimizers import Schedule, make_optimizer, make_schedule
from src.training.penalties import penalised_weights

NORMS = {
    "bn": BatchNorm(eps=1e-5, momentum=0.1),
    "gn": GroupNorm(eps=1e-5, groups=4),
    "ln": LayerNorm(eps=1e-5),
    "none": NoNorm(),
}
PENALTIES = {"": Regularization(), "l1": Regularization(l1=1e-5), "l2": Regularization(l2=1e-4)}
SIDE = 1024  # rows and columns of the matrices
PRODUCTS = 8  # matrix products per measurement


def configuration(norm: str, penalty: str) -> Config:
    """Return the configuration of one epoch of a job of README's six runs."""
    config = Config(
        norm=NORMS[norm],
        reg=PENALTIES[penalty],
        optimizer=Adam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8),
        schedule=OneCycle(warmup=0.25),
        data=MNIST(batch_size=128, validation=5000, split_seed=0),
        model=CNN(width=16),
        tracking=NoTracking(),
        epochs=1,
        seed=0,
        threads=1,
    )
    check_config(config)
    return config


def parts(config: Config, steps: int) -> tuple[nn.Module, torch.optim.Optimizer, Schedule]:
    """Return a new network with its optimizer and schedule."""
    model = make_network(config, load(config.data).source).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(model, config.optimizer, config.reg)
    return model, optimizer, make_schedule(optimizer, config.schedule, 1, steps)


def ours(config: Config, splits: Splits, steps: int) -> float:
    """Return the seconds per step of normlab's training loop, from the metrics of its epoch."""
    model, optimizer, schedule = parts(config, steps)
    few = replace(
        splits,
        validation=replace(
            splits.validation, images=splits.validation.images[:64], labels=splits.validation.labels[:64]
        ),
    )
    ((_, metrics),) = train(model, few, optimizer, schedule, config)
    return metrics["time/train_seconds"] / steps


def bare(config: Config, splits: Splits, steps: int) -> float:
    """Return the seconds per step of the bare loop."""
    model, optimizer, schedule = parts(config, steps)
    order = torch.randperm(len(splits.train)).split(config.data.batch_size)
    batches = [splits.train.batch(chosen) for chosen in order]
    weights = penalised_weights(model)
    model.train()
    began = time.perf_counter()
    for images, labels in batches:
        loss = F.cross_entropy(model(images), labels)
        if config.reg.l1 > 0:
            loss = loss + config.reg.l1 * sum(weight.abs().sum() for weight in weights)
        if config.reg.l2 > 0:
            loss = loss + config.reg.l2 / 2 * sum(weight.square().sum() for weight in weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return (time.perf_counter() - began) / steps


def product() -> float:
    """Return the seconds of `PRODUCTS` matrix products with 2 * SIDE**3 operations each."""
    left, right = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    out = torch.empty(SIDE, SIDE)
    began = time.perf_counter()
    for _ in range(PRODUCTS):
        torch.mm(left, right, out=out)
    return time.perf_counter() - began


def operations(config: Config, batch: int) -> int:
    """Return the floating-point operations of a step's convolutions and linear layers, forward and backward."""
    model = make_network(config, load(config.data).source)
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(batch, 1, 28, 28)).sum().backward()
    return int(counter.get_total_flops())


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.step", description=__doc__)
    parser.add_argument("--pairs", type=int, default=30, help="pairs per norm and penalty (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="training steps per measurement (default: %(default)s)")
    parser.add_argument("--norm", action="append", choices=list(NORMS), help="norm; you can repeat it (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    show_machine()
    print(f"{'':8} {'ms':>6} {'bare':>6} {'share':>6}  normlab / bare")
    rows = {}
    for norm in arguments.norm or NORMS:
        for penalty in PENALTIES:
            config = configuration(norm, penalty)
            config.data.limit = arguments.steps * config.data.batch_size
            splits = make_splits(config.data, load(config.data))
            contestants: dict[str, Callable[[], float]] = {
                "normlab": partial(ours, config, splits, arguments.steps),
                "bare": partial(bare, config, splits, arguments.steps),
                "product": product,
            }
            for measure in contestants.values():
                measure()  # warm-up: the first measurement includes one-time costs
            seconds = in_turns(contestants, arguments.pairs)
            peak = PRODUCTS * 2 * SIDE**3 / median(seconds["product"])
            done = operations(config, config.data.batch_size) / median(seconds["normlab"])
            row = {
                "seconds": seconds,
                "ratio": ratio(seconds["normlab"], seconds["bare"]),
                "bare_against_itself": against_itself(seconds["bare"]),
                "gflops": done / 1e9,
                "product_gflops": peak / 1e9,
            }
            name = " ".join([norm, penalty]).strip()
            rows[name] = row
            ms, plain = median(seconds["normlab"]) * 1e3, median(seconds["bare"]) * 1e3
            print(f"{name:8} {ms:>6.2f} {plain:>6.2f} {done / peak:>6.1%}  {row['ratio']}", flush=True)
            print(f"{'':30}bare against itself {row['bare_against_itself']}", flush=True)
    print(f"matrix product: {peak / 1e9:.0f} GFLOP/s on one thread")
    write(arguments.json, {"rows": rows})


if __name__ == "__main__":
    main()
