"""Measures the rate of false verdicts and the coverage of the intervals, on simulated sweeps with known accuracies.

python -m benchmarks.verdicts                          1,000 sweeps of each kind: a few minutes on one core
python -m benchmarks.verdicts --sweeps 100 --json verdicts.json
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.results.results import Results
from src.verdict.verdicts import Verdicts, judge

IMAGES = 10_000
CELLS = 6
SEEDS = (3, 5, 10)
ACCURACY = 0.99
RUN_SD = 0.0007  # of a run around its cell's mean, as measured on MNIST
SEED_SD = 0.0005  # of the effect that a seed has on all cells: same first weights, same order of images
STEP = 0.0004  # between the true accuracies of neighbouring cells, in sweeps with differences

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """A share of sweeps or intervals, with its standard error over sweeps."""

    quantity: str
    seeds: int
    sweeps: int
    share: float
    error: float


def make_results(accuracies: Floats) -> Results:
    """Return runs with these test accuracies (cells, seeds), in the form that normlab reads from job folders."""
    cells, seeds = accuracies.shape
    names = [f"m{position}" for position in range(cells)]
    runs = pd.DataFrame(
        {
            "run": [f"{name} s{seed}" for name in names for seed in range(seeds)],
            "cell": np.repeat(names, seeds),
            "seed": np.tile(np.arange(seeds), cells),
            "norm.name": np.repeat(names, seeds),
            "test/accuracy": accuracies.ravel(),
            "dataset": "0" * 64,
            "dataset_name": "mnist 00000000",
            "environment": "",
        }
    )
    return Results(runs, pd.DataFrame({"run": []}), ("norm.name",), {"0" * 64: {"test": IMAGES}}, {}, ())


def by_seed(generator: np.random.Generator, seeds: int, means: Sequence[float]) -> Verdicts:
    """Judge a sweep with accuracies that vary normally around the true means, rounded to whole images."""
    runs = np.array(means)[:, None] + generator.normal(0, RUN_SD, (len(means), seeds))
    runs += generator.normal(0, SEED_SD, seeds)
    return judge([], make_results(np.round(runs * IMAGES) / IMAGES), {})


def by_image(generator: np.random.Generator, run_sd: float) -> Verdicts:
    """Judge a sweep of one seed; how often a network classifies an image correctly depends on the image."""
    ease = generator.beta(0.99 * 0.5, 0.01 * 0.5, IMAGES)  # every network classifies most images correctly
    accuracy = ease.mean() + generator.normal(0, run_sd, CELLS) if run_sd else np.full(CELLS, ease.mean())
    chance = np.clip(1 - (1 - ease) * (1 - accuracy[:, None]) / (1 - ease.mean()), 0, 1)
    right = generator.random((CELLS, IMAGES)) < chance
    results = make_results(right.mean(axis=1)[:, None])
    return judge([], results, dict(zip(results.runs["run"], right, strict=True)))


def share(quantity: str, seeds: int, values: Sequence[float]) -> Row:
    """Return the mean of one value per sweep, with its standard error."""
    return Row(quantity, seeds, len(values), float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5))


def false_verdicts(sweeps: int) -> list[Row]:
    """Return the share of sweeps that report a significant difference although all methods are equally good."""
    generator = np.random.default_rng(1)
    rows = []
    for seeds in SEEDS:
        found = [_any(by_seed(generator, seeds, [ACCURACY] * CELLS)) for _ in range(sweeps)]
        rows.append(share("any false verdict, paired t", seeds, found))
    found = [_any(by_image(generator, 0.0)) for _ in range(sweeps)]
    rows.append(share("any false verdict, exact McNemar", 1, found))
    found = [_any(by_image(generator, RUN_SD)) for _ in range(sweeps)]
    rows.append(share("networks differ, methods do not", 1, found))
    return rows


def _any(verdicts: Verdicts) -> float:
    return float(any(pair.decided for pair in verdicts.pairs))


def coverage(sweeps: int) -> list[Row]:
    """Return the share of intervals that contain the true difference; each method is better than the previous one."""
    generator = np.random.default_rng(2)
    means = [ACCURACY + STEP * position for position in range(CELLS)]
    truth = {f"m{position}": mean for position, mean in enumerate(means)}
    rows = []
    for seeds in SEEDS:
        judged = [by_seed(generator, seeds, means) for _ in range(sweeps)]
        rows.append(share("coverage of the 95 % t interval", seeds, [_covered(one, truth) for one in judged]))
    return rows


def _covered(verdicts: Verdicts, truth: Mapping[str, float]) -> float:
    held = [pair.low <= truth[pair.first] - truth[pair.second] <= pair.high for pair in verdicts.pairs]
    return float(np.mean(held))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--sweeps", type=int, default=1000, help="sweeps of each kind (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the numbers as JSON")
    arguments = parser.parse_args()
    rows = [*false_verdicts(arguments.sweeps), *coverage(arguments.sweeps)]
    print(f"{CELLS} cells, {IMAGES:,} test images, {arguments.sweeps:,} sweeps each; ± standard error")
    for row in rows:
        print(f"{row.quantity:<36} n = {row.seeds:>2}  {100 * row.share:6.2f} ± {100 * row.error:.2f} %")
    if arguments.json is not None:
        report: dict[str, Any] = {"cells": CELLS, "images": IMAGES, "rows": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
