"""Time several programs in alternation, compute ratios with a confidence interval, and describe the machine."""

import json
import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from scipy import stats

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ratio:
    """The median ratio of pairs, its 95 % confidence interval (order statistics), and the range of the pairs."""

    median: float
    low: float
    high: float
    smallest: float
    largest: float
    pairs: int

    def __str__(self) -> str:
        interval = f" [{self.low:.3f}, {self.high:.3f}]" if self.low == self.low else ""  # too few pairs: NaN
        return f"{self.median:.3f}{interval} (single pairs {self.smallest:.3f} to {self.largest:.3f}, n = {self.pairs})"


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Return the statistics of `above / below`, pair by pair."""
    ratios = [high / low for high, low in zip(above, below, strict=True)]
    found = stats.quantile_test(ratios, p=0.5).confidence_interval(0.95)
    return Ratio(median(ratios), float(found.low), float(found.high), min(ratios), max(ratios), len(ratios))


def against_itself(values: Sequence[float]) -> Ratio:
    """Return the ratio of each measurement to the previous one, which shows the noise."""
    return ratio(values[1:], values[:-1])


def environment() -> dict[str, str]:
    """Return environment variables that run this checkout's commands from any folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def in_turns(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure every contestant once per round; each round starts with a different one."""
    names = list(contestants)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            measured[name].append(contestants[name]())
    return measured


def machine() -> dict[str, Any]:
    """Return the hardware and the package versions."""
    packages = ("torch", "torchvision", "mlflow", "hydra-core")
    try:
        model = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[0]
    except (OSError, IndexError):
        model = platform.processor()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in packages},
    }


def show_machine() -> None:
    """Print hardware and versions as one line."""
    about = machine()
    hardware = f"{about.pop('cpu')}, {about.pop('cores')} cores"
    print(f"{hardware}; {', '.join(f'{name} {version}' for name, version in about.items())}", flush=True)


def write(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write the numbers of a benchmark and its machine as JSON; without a path, do nothing."""
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), **content}, indent=2, default=asdict) + "\n")
