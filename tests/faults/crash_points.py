"""Find the statements that a sweep passes while it writes, and kill it there.

A traced run of the command finds the points in the modules below, so a new statement is a new point.  The command runs
in a process that has everything imported already, and is killed at a point.
"""

import ast
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tests.forks import Forked

PROJECT = Path(__file__).parents[2]
MODULES = [
    *sorted((PROJECT / "src/runs").glob("*.py")),
    *sorted((PROJECT / "src/storage").glob("*.py")),
    *sorted((PROJECT / "src/tracking").glob("*.py")),
    PROJECT / "src/job.py",
    PROJECT / "src/training/loop.py",
    PROJECT / "src/compare.py",
    PROJECT / "hydra_plugins/normlab/grid_sweeper.py",
]


@dataclass(frozen=True, order=True)
class Point:
    """Just before a statement, at its n-th visit."""

    module: str
    line: int
    text: str
    hit: int = 1

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.text} #{self.hit}"


def statements() -> dict[tuple[str, int], Point]:
    """Return all statements inside functions of the modules, by file and line."""
    points = {}
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines()
        for function in ast.walk(ast.parse(source)):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in (node for part in function.body for node in ast.walk(part) if isinstance(node, ast.stmt)):
                name = path.relative_to(PROJECT).as_posix()
                points[str(path), node.lineno] = Point(name, node.lineno, lines[node.lineno - 1].strip())
    return points


FILES = frozenset(map(str, MODULES))


def watch(visit: Callable[[str, int], None]) -> None:
    """Call `visit` with file and line before each line of the modules, in every thread."""

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            visit(frame.f_code.co_filename, frame.f_lineno)
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        return line if frame.f_code.co_filename in FILES else None

    threading.settrace(call)
    sys.settrace(call)


def record_points(log: str) -> None:
    """Count the visits of this process, and write them to a file at its end."""
    counts: Counter[tuple[str, int]] = Counter()
    lock, end = threading.Lock(), os._exit

    def visit(file: str, line: int) -> None:
        with lock:
            counts[file, line] += 1

    def write_and_end(status: int) -> None:
        sys.settrace(None)
        Path(log).write_text("\n".join(f"{file}\t{line}\t{count}" for (file, line), count in counts.items()))
        end(status)

    os._exit = write_and_end  # type: ignore[assignment]
    watch(visit)


def passed(forked: Forked, words: Sequence[str], folder: Path) -> Counter[Point]:
    """Return the points that an uninterrupted command passes, with the number of visits."""
    known = statements()
    log = folder / "passed.txt"
    done = forked.run(folder, *words, before=(__name__, "record_points", str(log)))
    assert done.status == 0, done.said
    found: Counter[Point] = Counter()
    for entry in log.read_text().splitlines():
        file, line, count = entry.split("\t")
        if (file, int(line)) in known:
            found[known[file, int(line)]] = int(count)
    log.unlink()
    return found


def die_at(module: str, wanted_line: int, hit: int) -> None:
    """Kill this process just before a line, at its n-th visit."""
    file, left = str(PROJECT / module), [hit]

    def visit(name: str, line: int) -> None:
        if line == wanted_line and name == file:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    watch(visit)
