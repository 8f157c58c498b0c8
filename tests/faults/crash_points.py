"""Find the statements that a sweep passes while it writes, and kill it there.

A traced run of the command finds the points in the modules below, so a new statement is a new point.  A forked child,
which has everything imported already, is killed at a point.
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


def in_child(task: Callable[[], Any], folder: Path, prepare: Callable[[], None] = lambda: None) -> int:
    """Run a task in a forked child and folder; returns its exit status, minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.chdir(folder)
            with Path("output.txt").open("a") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            warnings.simplefilter("ignore")  # pytest turns warnings into errors, the command does not
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
    """Return the points that an uninterrupted run passes, with the number of visits."""
    known = statements()
    log = folder / "passed.txt"

    def prepare() -> None:
        counts: Counter[tuple[str, int]] = Counter()
        lock = threading.Lock()

        def visit(file: str, line: int) -> None:
            with lock:
                counts[file, line] += 1

        watch(visit)
        end = os._exit

        def write_and_end(status: int) -> None:
            sys.settrace(None)
            log.write_text("\n".join(f"{file}\t{line}\t{count}" for (file, line), count in counts.items()))
            end(status)

        os._exit = write_and_end  # type: ignore[assignment]

    assert in_child(task, folder, prepare) == 0, (folder / "output.txt").read_text()
    found: Counter[Point] = Counter()
    for entry in log.read_text().splitlines():
        file, line, count = entry.split("\t")
        if (file, int(line)) in known:
            found[known[file, int(line)]] = int(count)
    log.unlink()
    return found


def kill_at(point: Point) -> Callable[[], None]:
    """Return the `prepare` function of a child that dies at a point."""
    file, left = str(PROJECT / point.module), [point.hit]

    def visit(name: str, line: int) -> None:
        if line == point.line and name == file:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return lambda: watch(visit)
