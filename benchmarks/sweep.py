"""The README's six runs by normlab, by the loop that courses teach and by a Lightning template, in turns.

    pip install -e '.[bench]'
    python -m benchmarks.sweep                          three rounds, about 40 minutes on two cores
    python -m benchmarks.sweep --rounds 1 --json sweep.json
    python -m benchmarks.sweep --only course --only normlab

Wall time is that of the whole command, imports and comparison and all.  Each contestant's mean test accuracy stands
beside it, so that nobody wins by training less; and the seconds until the last of its six runs was as accurate as
wanted (99.0 % for bn, 98.7 % for gn and ln), on validation images, but for the course loop, which looks at the test
images.  The course loop and Lightning run with the better number of DataLoader workers, 0 or 2, of the first round.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.ratios import Ratio, against_itself, environment, ratio, show_machine, write
from src.runs.folder import JobFolder

MAIN_LINE = ["src.train", "-m", "norm=bn,gn,ln", "reg.l1=0,1e-5"]
BASELINES = {"course": "benchmarks.course_loop", "lightning": "benchmarks.lightning_template"}
WANTED = {"bn": 0.990, "gn": 0.987, "ln": 0.987}


@dataclass(frozen=True)
class Outcome:
    """One command: its seconds, its runs' mean test accuracy, and the seconds until all runs were accurate enough."""

    seconds: float
    accuracy: float
    until: float


def run(words: list[str]) -> Outcome:
    """One contestant, in a folder of its own."""
    with tempfile.TemporaryDirectory() as place:
        began = time.time()
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=place,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.time() - began
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}\n{done.stderr[-2000:]}")
        runs = ours(Path(place)) if words[0] == MAIN_LINE[0] else json.loads(done.stdout.splitlines()[-1])
    until = max(first_time(name, run["reached"]) - began for name, run in runs.items())
    return Outcome(seconds, mean(run["accuracy"] for run in runs.values()), until)


def ours(place: Path) -> dict[str, Any]:
    """The finished runs in the form in which the baselines print theirs."""
    runs = {}
    for folder in (place / "multirun/jobs").iterdir():
        job = JobFolder(folder)
        result = job.result()
        assert result is not None
        epochs = [record for record in job.records() if record["kind"] == "epoch"]
        reached = [(record["time"] / 1000, record["metrics"]["val/accuracy"]) for record in epochs]
        runs[folder.name] = {"accuracy": result["metrics"]["test/accuracy"], "reached": reached}
    assert len(runs) == 6
    return runs


def first_time(name: str, reached: list[tuple[float, float]]) -> float:
    """When a run was first as accurate as wanted; never is infinite."""
    return min((when for when, accuracy in reached if accuracy >= WANTED[name[:2]]), default=float("inf"))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser("python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--only", action="append", choices=["normlab", *BASELINES], help="may repeat")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON too")
    arguments = parser.parse_args()
    show_machine()
    names = arguments.only or ["normlab", *BASELINES]
    lines = {"normlab": MAIN_LINE}
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    for turn in range(arguments.rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if name not in lines:
                tried = {workers: run([BASELINES[name], "--workers", str(workers)]) for workers in (0, 2)}
                for workers, outcome in tried.items():
                    print(f"round 1: {name} with {workers} workers {outcome.seconds:.1f} s", flush=True)
                best = min(tried, key=lambda workers: tried[workers].seconds)
                lines[name] = [BASELINES[name], "--workers", str(best)]
                outcomes[name].append(tried[best])
            else:
                outcomes[name].append(run(lines[name]))
            last = outcomes[name][-1]
            print(f"round {turn + 1}: {name} {last.seconds:.1f} s, {last.accuracy:.2%}, {last.until:.1f} s", flush=True)
    print(f"\n{'':12} {'seconds':>8} {'test accuracy':>14} {'until accurate':>15}  times normlab's seconds")
    ratios: dict[str, Ratio] = {}
    for name in names:
        of = outcomes[name]
        seconds = [outcome.seconds for outcome in of]
        row = f"{name:12} {median(seconds):>8.1f} {mean(o.accuracy for o in of):>14.2%}"
        row += f" {median(o.until for o in of):>15.1f}"
        if name != "normlab" and "normlab" in names:
            ratios[name] = ratio(seconds, [outcome.seconds for outcome in outcomes["normlab"]])
            row += f"  {ratios[name]}"
        elif len(of) > 1:
            ratios[name] = against_itself(seconds)
            row += f"  against itself {ratios[name]}"
        print(row)
    write(arguments.json, {"lines": lines, "outcomes": outcomes, "ratios": ratios})


if __name__ == "__main__":
    main()
