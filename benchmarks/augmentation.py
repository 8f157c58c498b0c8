"""Measures what each augmentation costs, as a share of a training step of `model=course` without augmentation.

    python -m benchmarks.augmentation
    python -m benchmarks.augmentation --rounds 60 --json augmentation.json

A batch has 128 colour images of 32 x 32 pixels.  All times are processor times on one thread, so other programs disturb
them less than wall times.  If kornia is installed, the command also measures kornia's random crop and flip.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch
from omegaconf import OmegaConf

from benchmarks.ratios import ROOT, in_turns, ratio, show_machine, write
from src.augmentation import AUGMENTATIONS
from src.augmentation.none import NoAugmentation
from src.config import Config
from src.data.sources import load
from src.data.splits import make_splits
from src.datasets import Synthetic
from src.models.course import Course
from src.norms.bn import BatchNorm
from src.options import Adam, Constant, NoTracking
from src.training.network import make_network
from src.training.optimizers import make_optimizer
from src.training.step import make_step
from src.training.streams import DropoutStream

BATCH, CALLS = 128, 5  # images per batch, and calls per measurement
DATA = Synthetic(
    batch_size=BATCH,
    validation=10,
    split_seed=0,
    classes=10,
    channels=3,
    size=32,
    images=5000,
    test_images=10,
    noise=1.0,
)


def seconds_of(call: Callable[[], object]) -> Callable[[], float]:
    """Return a function that measures the processor seconds of one call, as the mean of `CALLS` calls."""

    def measure() -> float:
        began = time.process_time()
        for _ in range(CALLS):
            call()
        return (time.process_time() - began) / CALLS

    return measure


def make_contestants() -> dict[str, Callable[[], float]]:
    """Return what is measured, by name: a step without augmentation first, then each augmentation alone."""
    config = Config(
        norm=BatchNorm(eps=1e-5, momentum=0.1),
        optimizer=Adam(lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8),
        schedule=Constant(),
        data=DATA,
        model=Course(),
        tracking=NoTracking(),
        epochs=1,
        seed=0,
        threads=1,
    )
    loaded = load(DATA)
    splits = make_splits(DATA, loaded)
    model = make_network(config, loaded.source).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(model, config.optimizer, config.reg)
    step = make_step(model, optimizer, config, DropoutStream(torch.device("cpu")))
    images, labels = splits.train.batch(torch.arange(BATCH))
    contestants = {"step": seconds_of(lambda: step(images, labels))}
    generator = torch.Generator().manual_seed(0)
    for name in (name for name in AUGMENTATIONS if name != NoAugmentation.name):
        keys: Any = OmegaConf.load(ROOT / f"conf/augmentation/{name}.yaml")
        augment = AUGMENTATIONS[name](**keys).build(DATA.classes, splits.mean, splits.deviation)
        assert augment is not None
        contestants[name] = seconds_of(partial(augment, images, labels, generator))
    if find_spec("kornia"):
        from kornia.augmentation import AugmentationSequential, RandomCrop, RandomHorizontalFlip

        crop = RandomCrop((DATA.size, DATA.size), padding=4, padding_mode="reflect")
        kornia = AugmentationSequential(crop, RandomHorizontalFlip())
        contestants["kornia's crop_flip"] = seconds_of(lambda: kornia(images))
    return contestants


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.augmentation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="measurements of each (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    show_machine()
    contestants = make_contestants()
    for measure in contestants.values():
        measure()  # warm-up: the first measurement includes one-time costs
    seconds = in_turns(contestants, arguments.rounds)
    print(f"{'':20} {'ms':>6}  augmentation / step")
    rows = {name: {"seconds": values, "ratio": ratio(values, seconds["step"])} for name, values in seconds.items()}
    for name, values in seconds.items():
        print(f"{name:20} {median(values) * 1e3:>6.2f}  {rows[name]['ratio']}", flush=True)
    write(arguments.json, {"rows": rows})


if __name__ == "__main__":
    main()
