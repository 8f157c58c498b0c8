"""Measures the time and memory per job, apart from training, in sweeps of 1 to 1,000 jobs with 1 to 4 workers.

    python -m benchmarks.scale                          about 40 minutes on two cores
    python -m benchmarks.scale --jobs 10 --jobs 100 --workers 2 --json scale.json

Each job trains one step on MNIST, so almost all of its time is overhead.  The worker time per job is the time from the
start of the first job to the end of the last, multiplied by the number of workers and divided by the number of jobs.
Memory is the largest proportional set size (PSS) of a worker process and of the command, measured every half second.
`benchmarks.comparison` measures `src.compare`.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.ratios import environment, show_machine, write
from benchmarks.startup import journals

INTERVAL = 0.5  # seconds between two samples of the memory


def sweep(jobs: int, workers: int) -> dict[str, float]:
    """Run one sweep; return its wall time and the worker time per job in seconds, and the largest PSS in MB."""
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
                time.sleep(INTERVAL)
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
    """The PSS in MB of the largest process that the fork server has started."""
    try:
        below = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0.0
    parents = {child.pid for child in process.children()}
    return max((pss(child) for child in below if child.pid not in parents), default=0.0)


def pss(process: psutil.Process) -> float:
    """The proportional set size of a process in MB; 0 after its end."""
    try:
        return float(process.memory_full_info().pss) / 2**20
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--jobs", type=int, action="append", help="you can repeat it (default: 1, 10, 100, 1000)")
    parser.add_argument("--workers", type=int, action="append", help="you can repeat it (default: 1, 2, 4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table as JSON")
    arguments = parser.parse_args()
    show_machine()
    print(f"{'jobs':>6} {'workers':>8} {'seconds':>8} {'worker time/job, s':>20} {'worker MB':>10} {'command MB':>11}")
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
