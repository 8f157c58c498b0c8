"""Times one sweep with normlab, a course's training loop and a Lightning template, in alternation.

    pip install -e '.[bench]'
    python -m benchmarks.sweep                          three rounds, about 25 minutes on two cores
    python -m benchmarks.sweep --epochs 8 --rounds 1    time until all six runs reach the target accuracy
    python -m benchmarks.sweep --rounds 1 --json sweep.json
    python -m benchmarks.sweep --only course --only normlab
    python -m benchmarks.sweep --colour DIR --rounds 1  colour images in DIR/train/CLASS and DIR/test/CLASS

The sweep has README's six runs on MNIST, or with `--colour` three runs (bn, gn and ln) of the course network for two
epochs on colour images of 32 x 32 pixels, with random crop and flip.  In each round, normlab decodes the colour images
again, as if it had never read the folder.
Each time is the wall time of the whole command, with imports and comparison.  The mean test accuracy shows whether all
programs train equally well.  "Until accurate" is the time until all six runs reach the target accuracy on the
validation images (99.0 % for bn, 98.7 % for gn and ln).  The course loop has no validation accuracy, so its test
accuracy counts.  Colour images have no target.
The course loop and Lightning use 0 or 2 DataLoader workers, whichever was faster in the first round.
"""

import argparse
import json
import math
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

NORMLAB = ["src.train", "-m", "norm=bn,gn,ln"]
MAIN_LINE = [*NORMLAB, "reg.l1=0,1e-5"]
COLOUR_LINE = [*NORMLAB, "model=course", "augmentation=crop_flip", "data=folder"]
WANTED = {"bn": 0.990, "gn": 0.987, "ln": 0.987}


@dataclass(frozen=True)
class Sweep:
    """The programs that train the same runs, their numbers of runs and epochs, and the target accuracy of each norm."""

    normlab: list[str]
    baselines: dict[str, list[str]]
    runs: int
    epochs: int
    wanted: dict[str, float]


def digits() -> Sweep:
    """Return README's six runs."""
    baselines = {"course": ["benchmarks.course_loop"], "lightning": ["benchmarks.lightning_template"]}
    return Sweep(MAIN_LINE, baselines, 6, 4, WANTED)


def colours(folder: Path) -> Sweep:
    """Return three runs on the colour images of a folder."""
    baselines = {"lightning": ["benchmarks.colour_template", str(folder)]}
    return Sweep([*COLOUR_LINE, f"data.root={folder}"], baselines, 3, 2, {})


@dataclass(frozen=True)
class Outcome:
    """One command: its seconds, mean test accuracy, and the seconds until all runs reached the target accuracy."""

    seconds: float
    accuracy: float
    until: float | None  # None: never


def run(words: list[str], sweep: Sweep) -> Outcome:
    """Run one program in a temporary folder, which is also its cache folder."""
    with tempfile.TemporaryDirectory() as place:
        began = time.time()
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=place,
            env=environment() | {"XDG_CACHE_HOME": str(Path(place, "cache"))},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.time() - began
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}\n{done.stderr[-2000:]}")
        runs = ours(Path(place)) if words[0] == NORMLAB[0] else json.loads(done.stdout.splitlines()[-1])
    assert len(runs) == sweep.runs
    reached = [first_time(sweep.wanted.get(name[:2], math.inf), run["reached"]) for name, run in runs.items()]
    until = max(reached) - began
    return Outcome(seconds, mean(run["accuracy"] for run in runs.values()), until if until < math.inf else None)


def ours(place: Path) -> dict[str, Any]:
    """Return normlab's finished runs in the form that the baselines print."""
    runs = {}
    for folder in (place / "multirun/jobs").iterdir():
        job = JobFolder(folder)
        result = job.result()
        assert result is not None
        epochs = [record for record in job.records() if record["kind"] == "epoch"]
        reached = [(record["time"] / 1000, record["metrics"]["val/accuracy"]) for record in epochs]
        runs[folder.name] = {"accuracy": result["metrics"]["test/accuracy"], "reached": reached}
    return runs


def first_time(wanted: float, reached: list[tuple[float, float]]) -> float:
    """Return the time when a run first reached the accuracy `wanted`, or infinity."""
    return min((when for when, accuracy in reached if accuracy >= wanted), default=math.inf)


def shown(seconds: float | None) -> str:
    """Format seconds; None becomes `never`."""
    return "never" if seconds is None else f"{seconds:.1f} s"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="epochs per run (default: 4, or 2 for colour images)")
    parser.add_argument("--colour", type=Path, metavar="DIR", help="train on the colour images in this folder")
    parser.add_argument(
        "--only",
        action="append",
        choices=["normlab", "course", "lightning"],
        help="measure only this program; you can repeat it",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers as JSON")
    arguments = parser.parse_args()
    sweep = colours(arguments.colour.absolute()) if arguments.colour else digits()
    if unknown := set(arguments.only or ()) - {"normlab", *sweep.baselines}:
        parser.error(f"--colour has no baseline {', '.join(unknown)}")
    show_machine()
    names = arguments.only or ["normlab", *sweep.baselines]
    epochs = arguments.epochs or sweep.epochs
    lines = {"normlab": [*sweep.normlab, f"epochs={epochs}"]}
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    for turn in range(arguments.rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if name not in lines:
                words = [*sweep.baselines[name], "--epochs", str(epochs), "--workers"]
                tried = {workers: run([*words, str(workers)], sweep) for workers in (0, 2)}
                for workers, outcome in tried.items():
                    print(f"round 1: {name} with {workers} workers {outcome.seconds:.1f} s", flush=True)
                best = min(tried, key=lambda workers: tried[workers].seconds)
                lines[name] = [*words, str(best)]
                outcomes[name].append(tried[best])
            else:
                outcomes[name].append(run(lines[name], sweep))
            last = outcomes[name][-1]
            print(
                f"round {turn + 1}: {name} {last.seconds:.1f} s, {last.accuracy:.2%}, {shown(last.until)}", flush=True
            )
    print(f"\n{'':12} {'seconds':>8} {'test accuracy':>14} {'until accurate':>15}  ratio to normlab")
    ratios: dict[str, Ratio] = {}
    for name in names:
        of = outcomes[name]
        seconds = [outcome.seconds for outcome in of]
        row = f"{name:12} {median(seconds):>8.1f} {mean(o.accuracy for o in of):>14.2%}"
        times = [outcome.until for outcome in of if outcome.until is not None]
        row += f" {shown(median(times) if len(times) == len(of) else None):>15}"
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
