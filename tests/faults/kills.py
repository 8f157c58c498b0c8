"""Kill a command at random moments until it ends by itself.

The moment is chosen by what its folder shows, and named afterwards by the files that the dead process left.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from src.runs.folder import JobFolder
from tests.faults.phases import Death, died, reached_step
from tests.faults.promises import Snapshot, check_after_kill, check_store, snapshot
from tests.forks import Forked, Started
from tests.tracking.servers import Server

PATIENCE = 600.0  # seconds per command; a sweep takes half a minute, and much longer on a busy machine
AT_ANY_TIME = 0.08  # share of kills that may fall into the start-up; the others wait for a job's first step
AT_A_WRITE = 0.5  # share of the others that strike at a change of files; the rest strike by the clock
WRITES_A_JOB = 40  # changes of files while a job of four epochs trains, tests and is delivered
JITTER = 0.003  # seconds between a change of files and the kill

Victim = Callable[[int], int]


def itself(command: int) -> int:
    """Return the command's own process."""
    return command


@dataclass
class Tally:
    """The results of all kills."""

    wanted: int
    deaths: list[Death] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    sweeps: int = 0
    violations: list[str] = field(default_factory=list)

    def table(self, seed: int) -> str:
        """Return the histogram and its totals."""
        counts = Counter(death.phase for death in self.deaths)
        rows = [f"{phase:<40}{counts[phase]:>5}  {'#' * counts[phase]}" for phase in sorted(counts)]
        totals = {
            "kills": len(self.deaths),
            "between first step and last artifact": sum(death.at_work for death in self.deaths),
            "that left a temporary file": sum(death.temporary for death in self.deaths),
            "sweeps completed": self.sweeps,
            "epochs computed again": sum(death.epoch_lost for death in self.deaths),
            "violations": len(self.violations),
        }
        spent = f"{sum(self.seconds):.0f} s, {sum(self.seconds) / max(len(self.deaths), 1):.1f} s a kill, seed {seed}"
        return "\n".join(["", *rows, "", *(f"{name:<40}{count:>5}" for name, count in totals.items()), spent])


@dataclass
class Killer:
    """Runs a command in an empty folder until it ends by itself, and kills it repeatedly.

    Args:
        forked: starts the command from a process that has imported everything.
        store: the file of an empty store, which each sweep begins with.
        words: the command after `python -m src.train`.
        job_seconds: from a job's first step to its last artifact, for choosing moments.
        start_seconds: from the start of the sweep to the first step of its first job.
        victim: returns the id of the process to kill, given the command's.
        server: receives the runs; by default they go to the folder's own store.
    """

    forked: Forked
    store: Path
    words: tuple[str, ...]
    job_seconds: float
    start_seconds: float
    victim: Victim = itself
    server: Server | None = None

    def sweep(self, folder: Path, reference: Path, random: random.Random, tally: Tally) -> None:
        """Run a sweep from an empty folder to its end; adds violations to the tally."""
        folder.mkdir()
        shutil.copy(self.store, folder)
        state: Snapshot = {}
        while True:
            began, launched = time.monotonic(), time.time_ns()
            striking = len(tally.deaths) < tally.wanted
            status, output, death = self.command(folder, launched, random if striking else None)
            tally.seconds.append(time.monotonic() - began)
            if death is None or status == 0:
                break
            tally.deaths.append(death)
            try:
                state = check_after_kill(folder / "multirun", state)
            except AssertionError as broken:
                tally.violations.append(f"killed {death.phase}: {broken}")
                state = snapshot(folder / "multirun")
        if status != 0:
            tally.violations.append(f"exit status {status} in {folder}: {output}")
            return
        tally.sweeps += 1
        try:
            if self.server is not None:
                self.server.copy(folder / "mlflow.db")
            root = None if self.server is None else self.server.artifacts
            check_store(folder, reference, before=state, artifact_root=root)
        except AssertionError as broken:
            tally.violations.append(str(broken))

    def command(self, folder: Path, launched: int, random: random.Random | None) -> tuple[int, str, Death | None]:
        """Run the command once; returns its exit status, its output, and how it was killed, if it was."""
        variables = {} if self.server is None else {"MLFLOW_TRACKING_URI": self.server.uri}
        process = self.forked.start(folder, *self.words, variables=variables, new_servers=True)
        try:
            death = None if random is None else self.strike(process, folder, launched, random)
            done = process.wait(PATIENCE)
        finally:
            process.send(signal.SIGKILL)
        wait_for_children(folder)
        return done.status, done.said[-2000:], death

    def strike(self, process: Started, folder: Path, launched: int, random: random.Random) -> Death | None:
        """Kill at a random moment; returns None if the command ended before."""
        reached = True
        if random.random() < AT_ANY_TIME:
            delay = random.uniform(0, 1.3 * self.start_seconds)
        else:
            reached = until(process.pid, lambda: reached_step(folder, launched))
            delay = random.uniform(0, 1.1 * self.job_seconds)
            if random.random() < AT_A_WRITE:
                reached = reached and after_writes(process.pid, folder, random.randint(1, int(1.1 * WRITES_A_JOB)))
                delay = random.choice([0.0, random.uniform(0, JITTER)])
        if not reached:
            return None
        time.sleep(delay)
        if not running(process.pid):
            return None
        victim = self.victim(process.pid)
        with contextlib.suppress(ProcessLookupError):  # the job has just ended
            os.kill(victim, signal.SIGKILL)
        if victim == process.pid:
            process.wait()
        return died(folder, launched)  # at once: other jobs continue


def any_of_them(chance: random.Random) -> Victim:
    """Choose the command's process, one of its jobs, or the server that forks them."""

    def victim(command: int) -> int:
        children = psutil.Process(command).children(recursive=True)
        return chance.choice([command, *(child.pid for child in children)])

    return victim


def running(pid: int) -> bool:
    """Whether a process has not ended; its parent must not have waited for it."""
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def until(pid: int, reached: Callable[[], bool], pause: float = 0.005) -> bool:
    """Wait until a condition is true; returns False if the process ends before."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        if not running(pid):
            return False
        assert time.monotonic() < deadline, "the command hangs"
        time.sleep(pause)
    return running(pid)


def after_writes(pid: int, folder: Path, count: int) -> bool:
    """Wait for a number of changes of the jobs' files and their copies; returns False if the process ends before."""
    seen, changes = entries(folder), 0

    def enough() -> bool:
        nonlocal seen, changes
        now = entries(folder)
        changes += now != seen
        seen = now
        return changes >= count

    return until(pid, enough, pause=0.0003)


def entries(folder: Path) -> list[tuple[int, int]]:
    """Return the times of all folders of jobs and artifacts, which new and renamed files change, and journals' sizes.

    It must be fast: a temporary file exists for milliseconds.
    """
    multirun = folder / "multirun"
    rooms = [*multirun.glob("jobs/*"), *multirun.glob("artifacts/*/artifacts")]
    journals = multirun.glob("jobs/*/journal.jsonl")
    return [
        *enumerate(room.stat().st_mtime_ns for room in rooms),
        *enumerate(journal.stat().st_size for journal in journals),
    ]


def wait_for_children(folder: Path) -> None:
    """Wait until the children of a killed command, which work in its folder, have ended by themselves."""
    deadline = time.monotonic() + 120
    while left := [process for process in psutil.process_iter() if works_in(process, folder)]:
        assert time.monotonic() < deadline, f"children outlive the command: {left}"
        time.sleep(0.01)


def works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder)
    except psutil.Error:  # it has ended
        return False


def measured(reference: Path) -> tuple[float, float]:
    """Return an uninterrupted sweep's seconds to its first step, and the mean from a job's first step to its result."""
    multirun = reference / "multirun"
    launched = min(json.loads(path.read_bytes())["started"] for path in multirun.glob("sweeps/*/manifest.json"))
    jobs = [JobFolder(path) for path in (multirun / "jobs").iterdir()]
    ready = [next(record["time"] for record in job.records() if record["kind"] == "ready") for job in jobs]
    finished = [(job.result() or {})["finished"] for job in jobs]
    lasted = [end - start for start, end in zip(ready, finished, strict=True)]
    return (min(ready) - launched) / 1e3, sum(lasted) / len(lasted) / 1e3
