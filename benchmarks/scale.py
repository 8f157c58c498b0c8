"""What a job costs in sweeps of 1 to 1,000 tiny jobs, on 1, 2 and 4 workers, in time and in memory.

    python -m benchmarks.scale                          about 40 minutes on two cores
    python -m benchmarks.scale --jobs 10 --jobs 100 --workers 2 --json scale.json

A tiny job is one step on MNIST; the time that it takes is what every job costs besides its training.  Memory is the
proportional share (PSS) of each worker's process, the highest seen in looks every half second, and the command's own.
How long `src.compare` takes for so many folders is what `benchmarks.comparison` measures.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.ratios import environment, show_machine, write
from benchmarks.startup import journals

LOOK = 0.5  # seconds


def sweep(jobs: int, workers: int) -> dict[str, float]:
    """One sweep: its seconds, seconds a job between first start and last end, and PSS in MB."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        words = ["src.train", "-m", "data.limit=128", "epochs=1", f"seeds={jobs}", f"sweep.max_jobs={jobs}"]
        began = time.time()
        with (place / "log").open("w") as log:
            process = psutil.Popen(
                [sys.executable, "-m", *words, f"hydra.launcher.workers={workers}"],
                cwd=place,
                env=environment(),
                stdout=log,
                stderr=log,
            )
            worker, parent = 0.0, 0.0
            while process.poll() is None:
                worker, parent = max(worker, largest_worker(process)), max(parent, pss(process))
                time.sleep(LOOK)
        seconds = time.time() - began
        if process.returncode:
            raise SystemExit(f"ended with {process.returncode}: {(place / 'log').read_text()[-2000:]}")
        times = journals(place)
    assert len(times) == jobs
    busy = max(job["end"] for job in times) - min(job["start"] for job in times)
    return {
        "jobs": jobs,
        "workers": workers,
        "seconds": seconds,
        "a_job": busy * min(workers, jobs) / jobs,
        "worker_mb": worker,
        "command_mb": parent,
    }


def largest_worker(process: psutil.Popen) -> float:
    """The PSS in MB of the largest process below the server that jobs are forked from."""
    try:
        below = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0.0
    parents = {child.pid for child in process.children()}
    return max((pss(child) for child in below if child.pid not in parents), default=0.0)


def pss(process: psutil.Process) -> float:
    """A process's proportional share of memory in MB, 0 once it is gone."""
    try:
        return float(process.memory_full_info().pss) / 2**20
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser("python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--jobs", type=int, action="append", help="may repeat (default: 1, 10, 100, 1000)")
    parser.add_argument("--workers", type=int, action="append", help="may repeat (default: 1, 2, 4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON too")
    arguments = parser.parse_args()
    show_machine()
    print(f"{'jobs':>6} {'workers':>8} {'seconds':>8} {'s of a worker a job':>20} {'worker MB':>10} {'command MB':>11}")
    rows = []
    for jobs in arguments.jobs or [1, 10, 100, 1000]:
        for workers in arguments.workers or ([1, 2, 4] if jobs < 1000 else [2]):
            row = sweep(jobs, workers)
            rows.append(row)
            print(
                f"{jobs:>6} {workers:>8} {row['seconds']:>8.1f} {row['a_job']:>20.2f} {row['worker_mb']:>10.0f}"
                f" {row['command_mb']:>11.0f}",
                flush=True,
            )
    write(arguments.json, {"rows": rows})


if __name__ == "__main__":
    main()
