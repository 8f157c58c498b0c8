"""How often the verdicts are false, and how often the intervals cover the truth: sweeps whose truth is known.

python -m benchmarks.verdicts                          1,000 sweeps of each kind: some minutes on one core
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
from scipy import stats

from src.results.results import Results
from src.runs.folder import FinishedJob, JobFolder
from src.verdict.verdicts import Verdicts, judge

IMAGES = 10_000
CELLS = 6
SEEDS = (3, 5, 10)
ACCURACY = 0.99
RUN_SD = 0.0007  # of a run about its cell's mean, as MNIST shows it
SEED_SD = 0.0005  # what a seed does to all cells alike: the same first weights, the same order
STEP = 0.0004  # from each cell's true accuracy to the next one's, where there is a difference

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """A share of sweeps or intervals, with its standard error over sweeps."""

    what: str
    seeds: int
    sweeps: int
    share: float
    error: float


def make_records(accuracies: Floats) -> Results:
    """Finished jobs (cells, seeds) with these test accuracies, as they are read from folders, which are not written."""
    source = {"digest": "0" * 64, "test": IMAGES, "classes": list("0123456789")}
    cells, found = [], {}
    for position, row in enumerate(accuracies):
        for seed, accuracy in enumerate(row.tolist()):
            config = {"norm": {"name": f"m{position}"}, "seed": seed, "data": {"name": "mnist"}}
            job = FinishedJob(JobFolder(Path(f"m{position} s{seed}")))
            # What the two cached properties would read from the disk.
            metrics = {"test/accuracy": accuracy}
            vars(job)["records"] = [
                {"kind": "start", "config": config, "environment": {}},
                {"kind": "ready", "source": source, "device": "cpu"},
            ]
            vars(job)["result"] = {"metrics": metrics}
            found[f"m{position} s{seed}"] = job
            cells.append(f"m{position}")
    columns = {"run": list(found), "cell": cells, "cell_key": cells}
    return Results(pd.DataFrame(columns), pd.DataFrame(), ("norm.name",), {"0" * 64: source}, found, ())


def by_seed(generator: np.random.Generator, seeds: int, means: Sequence[float]) -> Verdicts:
    """A sweep whose runs vary normally about their cells' true means, counted in whole images."""
    runs = np.array(means)[:, None] + generator.normal(0, RUN_SD, (len(means), seeds))
    runs += generator.normal(0, SEED_SD, seeds)
    return judge([], make_records(np.round(runs * IMAGES) / IMAGES), {})


def by_image(generator: np.random.Generator, run_sd: float) -> Verdicts:
    """A sweep of one seed whose networks get images right by chance, some images more easily than others."""
    ease = generator.beta(0.99 * 0.5, 0.01 * 0.5, IMAGES)  # most images are right in every network
    accuracy = ease.mean() + generator.normal(0, run_sd, CELLS) if run_sd else np.full(CELLS, ease.mean())
    chance = np.clip(1 - (1 - ease) * (1 - accuracy[:, None]) / (1 - ease.mean()), 0, 1)
    right = generator.random((CELLS, IMAGES)) < chance
    records = make_records(right.mean(axis=1)[:, None])
    runs = [f"{cell.label} s0" for cell in records.cells]
    return judge([], records, dict(zip(runs, right, strict=True)))


def share(what: str, seeds: int, values: Sequence[float]) -> Row:
    """The mean of one value a sweep."""
    return Row(what, seeds, len(values), float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5))


def false_verdicts(sweeps: int) -> list[Row]:
    """The share of sweeps in which a pair is decided although no cell differs from another."""
    generator = np.random.default_rng(1)
    rows = []
    for seeds in SEEDS:
        found = [_any(by_seed(generator, seeds, [ACCURACY] * CELLS)) for _ in range(sweeps)]
        rows.append(share("any false verdict, paired t", seeds, found))
    found = [_any(by_image(generator, 0.0)) for _ in range(sweeps)]
    rows.append(share("any false verdict, exact McNemar", 1, found))
    found = [_any(by_image(generator, RUN_SD)) for _ in range(sweeps)]
    rows.append(share("networks told apart, methods equal", 1, found))
    return rows


def _any(verdicts: Verdicts) -> float:
    return float(any(pair.decided for pair in verdicts.pairs))


def coverage(sweeps: int) -> list[Row]:
    """The share of intervals that hold the true difference; each cell is better than the one before."""
    generator = np.random.default_rng(2)
    means = [ACCURACY + STEP * position for position in range(CELLS)]
    truth = {f"m{position}": mean for position, mean in enumerate(means)}
    rows = []
    for seeds in SEEDS:
        judged = [by_seed(generator, seeds, means) for _ in range(sweeps)]
        rows.append(share("coverage of the 95 % t interval", seeds, [_covered(one, truth) for one in judged]))
        differences = np.array([one.pairs[0].differences for one in judged])
        rows.append(share("coverage of BCa, for comparison", seeds, _covered_by_bca(differences, -STEP)))
    return rows


def _covered(verdicts: Verdicts, truth: Mapping[str, float]) -> float:
    held = [pair.low <= truth[pair.first] - truth[pair.second] <= pair.high for pair in verdicts.pairs]
    return float(np.mean(held))


def _covered_by_bca(differences: Floats, truth: float) -> list[float]:
    """One value a row; rows without any spread, of which BCa makes nothing, are not covered."""
    held = []
    for row in differences:
        if np.ptp(row) < 1e-12:
            held.append(float(abs(row[0] - truth) < 1e-12))
            continue
        found = stats.bootstrap((row,), np.mean, n_resamples=1999, method="BCa", rng=0).confidence_interval
        held.append(float(found.low <= truth <= found.high))
    return held


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--sweeps", type=int, default=1000, help="of each kind (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    rows = [*false_verdicts(arguments.sweeps), *coverage(arguments.sweeps)]
    print(f"{CELLS} cells, {IMAGES:,} test images, {arguments.sweeps:,} sweeps each; ± standard error")
    for row in rows:
        print(f"{row.what:<36} n = {row.seeds:>2}  {100 * row.share:6.2f} ± {100 * row.error:.2f} %")
    if arguments.json is not None:
        report: dict[str, Any] = {"cells": CELLS, "images": IMAGES, "rows": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
