"""Every statement that runs while a sweep writes something, as a place to die at.

The points are enumerated from the code, so that a new statement is a new point: whatever a traced run of the command
passes in the modules below.  A point is killed in a forked child, which has everything imported already.
"""

import ast
import os
import signal
import sys
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

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
    """Just before a statement, the n-th time that it is come to."""

    module: str
    line: int
    text: str
    hit: int = 1

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.text} #{self.hit}"


def statements() -> dict[tuple[str, int], Point]:
    """Every statement inside a function of the modules, by file and line."""
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


def watch(seen: Callable[[str, int], None]) -> None:
    """Call `seen` with file and line before each line of the modules, in every thread."""

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            seen(frame.f_code.co_filename, frame.f_lineno)
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        return line if frame.f_code.co_filename in FILES else None

    threading.settrace(call)
    sys.settrace(call)


def in_child(task: Callable[[], Any], folder: Path, prepare: Callable[[], None] = lambda: None) -> int:
    """Run a task in a forked child and folder; returns its exit status, minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.chdir(folder)
            with Path("told.txt").open("a") as told:
                os.dup2(told.fileno(), 1)
                os.dup2(told.fileno(), 2)
            warnings.simplefilter("ignore")  # pytest makes errors of them, which the command does not
            prepare()
            task()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 70
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def passed(task: Callable[[], Any], folder: Path) -> Counter[Point]:
    """Which points an undisturbed run passes, and how often."""
    known = statements()
    log = folder / "passed.txt"

    def prepare() -> None:
        counts: Counter[tuple[str, int]] = Counter()
        lock = threading.Lock()

        def seen(file: str, line: int) -> None:
            with lock:
                counts[file, line] += 1

        watch(seen)
        end = os._exit

        def write_and_end(status: int) -> None:
            sys.settrace(None)
            log.write_text("\n".join(f"{file}\t{line}\t{count}" for (file, line), count in counts.items()))
            end(status)

        os._exit = write_and_end  # type: ignore[assignment]

    assert in_child(task, folder, prepare) == 0, (folder / "told.txt").read_text()
    found: Counter[Point] = Counter()
    for entry in log.read_text().splitlines():
        file, line, count = entry.split("\t")
        if (file, int(line)) in known:
            found[known[file, int(line)]] = int(count)
    log.unlink()
    return found


def kill_at(point: Point) -> Callable[[], None]:
    """What a child must prepare to be killed at a point."""
    file, left = str(PROJECT / point.module), [point.hit]

    def seen(name: str, line: int) -> None:
        if line == point.line and name == file:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return lambda: watch(seen)
