"""Measures the time of a training step with each norm and each optimizer, relative to bn and adam.

    python -m benchmarks.methods
    python -m benchmarks.methods --model course --rounds 60 --json methods.json

Norms run with adam, and optimizers with bn.  A step is forward, backward and the optimizer's step on 128
images of the size that the network is made for.  All times are processor times on one thread, so other programs
disturb them less than wall times.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from hydra import compose, initialize_config_dir

from benchmarks.ratios import ROOT, in_turns, ratio, show_machine, write
from src.config import Config
from src.data.sources import load
from src.data.splits import make_splits
from src.models import NETWORKS
from src.norms import NORMS
from src.options import OPTIMIZERS
from src.sweep.trees import to_config
from src.training.network import make_network
from src.training.optimizers import make_optimizer
from src.training.step import make_step
from src.training.streams import DropoutStream

BATCH, CALLS = 128, 5  # images per batch, and steps per measurement
DATA = {"cnn": ("1", "28"), "mlp": ("1", "28")}  # channels and size; the other networks are for 32 x 32 colour images


def configuration(model: str, norm: str, optimizer: str) -> Config:
    """Return the configuration of a job with default values, on random images."""
    channels, size = DATA.get(model, ("3", "32"))
    words = [f"model={model}", f"norm={norm}", f"optimizer={optimizer}", "schedule=constant", "data=synthetic"]
    words += [f"data.batch_size={BATCH}", f"data.channels={channels}", f"data.size={size}", "tracking=none"]
    return to_config(compose("config", [*words, "data.images=600", "data.test_images=10", "data.validation=100"]))


def step_timer(config: Config) -> Callable[[], float]:
    """Return a function that measures the processor seconds of a training step, as the mean of `CALLS` steps."""
    images = load(config.data)
    splits = make_splits(config.data, images)
    model = make_network(config, images.source).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(model, config.optimizer, config.reg)
    step = make_step(model, optimizer, config, DropoutStream(torch.device("cpu")))
    batch, labels = splits.train.batch(torch.arange(BATCH))
    model.train()

    def measure() -> float:
        began = time.process_time()
        for _ in range(CALLS):
            step(batch, labels)
        return (time.process_time() - began) / CALLS

    return measure


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.methods", description=__doc__)
    parser.add_argument("--model", default="cnn", help="network (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="measurements of each (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    show_machine()
    norms = [name for name, norm in NORMS.items() if NETWORKS[arguments.model].layout in norm.axes]
    methods = dict.fromkeys(
        [("bn", "adam"), *((name, "adam") for name in norms), *(("bn", name) for name in OPTIMIZERS)]
    )
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        contestants = {" ".join(method): step_timer(configuration(arguments.model, *method)) for method in methods}
    for measure in contestants.values():
        measure()  # warm-up: the first measurement includes one-time costs
    seconds = in_turns(contestants, arguments.rounds)
    print(f"{'':20} {'ms':>6}  step / step of bn adam")
    rows = {name: {"seconds": values, "ratio": ratio(values, seconds["bn adam"])} for name, values in seconds.items()}
    for name, values in seconds.items():
        print(f"{name:20} {median(values) * 1e3:>6.2f}  {rows[name]['ratio']}", flush=True)
    write(arguments.json, {"rows": rows})


if __name__ == "__main__":
    main()
