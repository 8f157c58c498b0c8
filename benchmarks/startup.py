"""Measures the time until the first training step, the time until an error message, and the parts of a sweep.

    python -m benchmarks.startup                        README's six runs
    python -m benchmarks.startup --rounds 5 --json startup.json
    python -m benchmarks.startup data.limit=128 epochs=1 seeds=10       another sweep

The parts of a sweep are worker time, which is wall time multiplied by the number of workers.  They add up to the worker
time of the whole command.  The times come from the jobs' journals.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ratios import environment, show_machine, write
from src.runs.folder import JobFolder

MAIN_LINE = ["norm=bn,gn,ln", "reg.l1=0,1e-5"]


def shell(words: Sequence[str], place: Path) -> tuple[float, float]:
    """Run a command in a folder; return its start (seconds since 1970) and its duration in seconds."""
    began = time.time()
    subprocess.run([sys.executable, "-m", *words], cwd=place, env=environment(), capture_output=True, check=False)
    return began, time.time() - began


def error_message(line: str) -> float:
    """Return the duration in seconds of a command that is refused."""
    with tempfile.TemporaryDirectory() as place:
        _, seconds = shell(["src.train", *line.split()], Path(place))
        assert not any(Path(place).iterdir())
    return seconds


def first_step() -> float:
    """Return the seconds from the start of a command until its job is ready for the first step."""
    with tempfile.TemporaryDirectory() as place:
        began, _ = shell(["src.train", "data.limit=128", "epochs=1"], Path(place))
        (times,) = journals(Path(place))
    return times["ready"] - began


def journals(place: Path) -> list[dict[str, float]]:
    """Return when each job started, was ready, finished its last epoch and ended, and its training time in seconds."""
    found = []
    for folder in (place / "multirun/jobs").iterdir():
        job = JobFolder(folder)
        records, result = job.records(), job.result()
        assert result is not None
        times = {record["kind"]: record["time"] / 1000 for record in records}
        trained = sum(record["metrics"]["time/train_seconds"] for record in records if record["kind"] == "epoch")
        found.append({**times, "end": result["finished"] / 1000, "trained": trained})
    return found


def parts(overrides: Sequence[str], workers: int) -> tuple[dict[str, float], float, int]:
    """Run a sweep; return the worker time of each part and of the whole in seconds, and the number of jobs."""
    with tempfile.TemporaryDirectory() as place:
        line = ["src.train", "-m", *overrides, f"hydra.launcher.workers={workers}"]
        began, seconds = shell(line, Path(place))
        jobs = journals(Path(place))
    whole = workers * seconds

    def spent(since: str, until: str) -> float:
        return sum(job[until] - job[since] for job in jobs)

    trained = sum(job["trained"] for job in jobs)
    found = {
        "before the first job starts": workers * (min(job["start"] for job in jobs) - began),
        "data and network": spent("start", "ready"),
        "training steps": trained,
        "validation, checkpoints": spent("ready", "epoch") - trained,
        "test, pictures, weights": spent("epoch", "end"),
        "after the last job": workers * (began + seconds - max(job["end"] for job in jobs)),
    }
    idle = idle_at_the_end(jobs, workers)
    return {**found, "idle at the end": idle, "between jobs": whole - idle - sum(found.values())}, whole, len(jobs)


def idle_at_the_end(jobs: Sequence[dict[str, float]], workers: int) -> float:
    """Return the seconds that idle workers wait for the last job; each job went to the worker that was free first."""
    ends = [min(job["start"] for job in jobs)] * workers
    for job in sorted(jobs, key=lambda job: job["start"]):
        ends[ends.index(min(ends))] = job["end"]
    return sum(max(ends) - end for end in ends)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.startup", description=__doc__)
    parser.add_argument("overrides", nargs="*", default=MAIN_LINE, help="overrides of the sweep (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="number of measurements (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="number of workers (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers as JSON")
    arguments = parser.parse_args()
    show_machine()
    single: dict[str, list[float]] = {"shell to first step": [], "shell to error message": []}
    for _ in range(arguments.rounds):
        single["shell to first step"].append(first_step())
        single["shell to error message"].append(error_message("norm=batchnrom"))
    for name, values in single.items():
        print(f"{name:30} {median(values):6.2f} s ({min(values):.2f} to {max(values):.2f})", flush=True)
    sweeps = [parts(arguments.overrides, arguments.workers) for _ in range(arguments.rounds)]
    found, whole, jobs = sorted(sweeps, key=lambda sweep: sweep[1])[len(sweeps) // 2]
    print(f"\nthe median sweep ({jobs} jobs, {arguments.workers} workers) took {whole / arguments.workers:.1f} s")
    print("worker time (wall time x workers) of its parts:")
    rows: dict[str, Any] = {}
    for name, seconds in found.items():
        rows[name] = seconds
        print(f"{name:30} {seconds:6.1f} s {seconds / whole:6.1%} {seconds / jobs:6.2f} s/job")
    print(f"{'total':30} {sum(found.values()):6.1f} s")
    inside = ("data and network", "validation, checkpoints", "test, pictures, weights", "between jobs")
    overhead = sum(found[name] for name in inside) / jobs
    print(f"{'per job, without training':30} {overhead:6.2f} s")
    write(arguments.json, {"single": single, "sweeps": [sweep[0] for sweep in sweeps], "overhead": overhead})


if __name__ == "__main__":
    main()
