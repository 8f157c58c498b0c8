"""Measures the time and memory of `python -m src.compare` for 6 to 1,000 finished jobs of 10 epochs.

    python -m benchmarks.comparison                     6, 100 and 1,000 jobs
    python -m benchmarks.comparison --jobs 1000 --epochs 50 --json comparison.json

The benchmark writes job folders with random results for MNIST's 10,000 test images.  It runs the comparison twice and
measures the second run, because the files are then in the disk cache.  The column `imports s` is the time of a command
that only imports the same modules.  Goal for 1,000 jobs on an idle machine: at most 10 s and 600 MB.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from src.config import Config, Regularization, check_config
from src.data.images import Source
from src.data.sources import describe, load
from src.datasets import MNIST
from src.models.cnn import CNN
from src.norms import Norm
from src.norms.bn import BatchNorm
from src.norms.gn import GroupNorm
from src.norms.instance import InstanceNorm
from src.norms.ln import LayerNorm
from src.norms.none import NoNorm
from src.options import Adam, Constant, NoTracking
from src.runs import identity, naming
from src.runs.environment import environment
from src.runs.folder import ARTIFACTS
from src.runs.journal import Journal, stamp
from src.runs.predictions import Predictions, save_predictions
from src.runs.sweep import PlannedJob, Sweep
from src.storage.files import write_json

EPOCHS = 10
STRENGTHS = 200  # values of reg.l1, at most
SEEDS = 10  # per cell; six jobs have one seed
NORMS = [
    BatchNorm(eps=1e-5, momentum=0.1),
    GroupNorm(eps=1e-5, groups=4),
    LayerNorm(eps=1e-5),
    InstanceNorm(eps=1e-5),
    NoNorm(),
]
IMPORTS = "import src.compare, src.figures.figures, src.report.report, src.figures.inline"


def configurations(jobs: int, seeds: int, epochs: int = EPOCHS) -> list[Config]:
    """The first jobs of a grid of L1 strengths, norms and seeds; six jobs are three norms with and without L1."""
    norms, seeds = (NORMS[:3], 1) if jobs <= 6 else (NORMS, seeds)
    strengths = [0.0, *(1e-6 * 1.05**step for step in range(STRENGTHS - 1))]
    grid = [(norm, l1, seed) for l1 in strengths for norm in norms for seed in range(seeds)]
    return [configuration(*combination, epochs) for combination in grid[:jobs]]


def configuration(norm: Norm, l1: float, seed: int, epochs: int) -> Config:
    """Return the configuration of a job on MNIST."""
    config = Config(
        norm=norm,
        reg=Regularization(l1=l1),
        optimizer=Adam(lr=0.02, beta1=0.9, beta2=0.999, eps=1e-8),
        schedule=Constant(),
        data=MNIST(batch_size=64, validation=5000, split_seed=0),
        model=CNN(width=16),
        tracking=NoTracking(),
        epochs=epochs,
        seed=seed,
        threads=1,
    )
    check_config(config)
    return config


def make_sweep(multirun: Path, configs: Sequence[Config]) -> None:
    """Write the folders of finished jobs and the manifest of their sweep."""
    source = describe(configs[0].data)
    labels = load(configs[0].data).test_labels
    varies = identity.find_varying_keys(identity.job_settings(config) for config in configs)
    jobs = [make_job(multirun, config, source, labels, varies) for config in configs]
    key = identity.sweep_id(job.key for job in jobs)
    Sweep(key, "python -m src.train -m norm=bn,gn,ln reg.l1=0,1e-5", 1, varies, jobs).write(multirun)


def make_job(multirun: Path, config: Config, source: Source, labels: np.ndarray, varies: Sequence[str]) -> PlannedJob:
    """Write the folder of a finished job that misclassifies about 1 % of the test images."""
    what, leaves = identity.identity(config, source.digest), identity.job_settings(config)
    key, label = identity.job_key(what), naming.job_name(leaves, varies)
    folder = multirun / "jobs" / naming.folder_name(label, key)
    folder.mkdir(parents=True)
    chance = np.random.default_rng(int(key[:8], 16))
    drawn = io.BytesIO()
    Image.new("RGB", (264, 300)).save(drawn, "PNG")
    picture, lowest = drawn.getvalue(), 1.0
    with Journal(folder / "journal.jsonl") as journal:
        journal.append(stamp("start", config=asdict(config), environment=environment(), code=identity.code_digest()))
        cell = identity.cell_key(what)
        journal.append(stamp("ready", job=key, cell=cell, source=asdict(source), parameters=14_714, device="cpu"))
        for epoch in range(1, config.epochs + 1):
            loss = 0.3 / epoch + chance.normal(0, 0.002) + 0.02
            lowest = min(lowest, loss)
            names = ("train/loss", "train/penalty", "train/accuracy", "val/loss", "val/accuracy", "time/train_seconds")
            values = (loss, 0.1, 1 - loss / 4, 1.2 * loss, 1 - loss / 3, 9.0)
            journal.append(stamp("epoch", epoch=epoch, metrics=dict(zip(names, values, strict=True))))
    wrong = chance.random(len(labels)) < chance.uniform(0.008, 0.012)
    predicted = np.where(wrong, (labels + chance.integers(1, 10, len(labels))) % 10, labels).astype(np.int64)
    probabilities = chance.dirichlet(np.full(10, 0.02), len(labels)).astype(np.float32)
    probabilities[np.arange(len(labels)), predicted] += 1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    save_predictions(folder / "predictions.npz", Predictions(labels.astype(np.int64), predicted, probabilities))
    for name in ARTIFACTS:
        if name not in ("predictions.npz", "weights.safetensors"):
            (folder / name).write_bytes(picture if name.endswith(".png") else b"made up\n")
    weights = {"classifier.weight": chance.normal(0, 0.1, (10, 32)).astype(np.float32)}
    save_file(weights, folder / "weights.safetensors")
    errors = int(wrong.sum())
    metrics = {"test/loss": 0.03, "test/accuracy": 1 - errors / len(labels), "test/errors": errors}
    metrics |= {"val/loss": 1.2 * loss, "val/accuracy": 1 - loss / 3, "best/val_accuracy": 1 - lowest / 3}
    seconds = {"train": 9.0 * config.epochs, "total": 9.0 * config.epochs + 10}
    write_json(folder / "result.json", {"metrics": metrics, "seconds": seconds, "finished": 1_700_000_000_000})
    cell_label = naming.job_name(leaves, varies, seed=False)
    return PlannedJob(key, folder.name, label, cell_label, {path: str(leaves[path]) for path in varies})


def measured(words: Sequence[str], folder: Path) -> tuple[float, float]:
    """Run Python with these arguments in a folder; return its wall time in seconds and its peak memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.comparison", description=__doc__)
    parser.add_argument(
        "--jobs", type=int, action="append", help="number of jobs; you can repeat it (default: 6, 100, 1000)"
    )
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help="per cell, if there are over six jobs (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="epochs per job (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table as JSON")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    print(f"{'jobs':>6} {'imports s':>10} {'compare s':>10} {'after imports s':>16} {'peak MB':>9}")
    rows = []
    for jobs in arguments.jobs or [6, 100, 1000]:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            make_sweep(folder / "multirun", configurations(jobs, arguments.seeds, arguments.epochs))
            measured(["-m", "src.compare"], folder)  # fills the disk's cache
            imports, _ = measured(["-c", IMPORTS], folder)
            seconds, peak = measured(["-m", "src.compare"], folder)
        row = {
            "jobs": jobs,
            "imports": imports,
            "seconds": seconds,
            "after_imports": seconds - imports,
            "peak_mb": peak,
        }
        rows.append(row)
        print(f"{jobs:>6} {imports:>10.2f} {seconds:>10.2f} {seconds - imports:>16.2f} {peak:>9.0f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
