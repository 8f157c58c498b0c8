"""SIGKILL at random moments, again and again, until the command ends by itself.

A moment is chosen by what can be seen from outside and named afterwards by what the dead process has left.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from src.runs.folder import JobFolder
from tests.conftest import clean_environment
from tests.faults.phases import Death, died, done_step
from tests.faults.promises import Snapshot, check_after_kill, check_store, snapshot
from tests.tracking.servers import Server

PATIENCE = 300.0  # seconds for one command; a sweep of six takes half a minute
AT_ANY_TIME = 0.08  # share of the kills that may fall into the start-up; the others wait for a job's first step
AT_A_WRITE = 0.5  # share of those others that strike when a file appears or changes, the rest by the clock
WRITES_A_JOB = 40  # changes to be seen while a job of four epochs trains, tests and is delivered
JITTER = 0.003  # seconds between a write that is seen and the kill

Victim = Callable[["subprocess.Popen[bytes]"], int]


def itself(process: "subprocess.Popen[bytes]") -> int:
    """The command's own process."""
    return process.pid


@dataclass
class Tally:
    """What all kills together have shown."""

    wanted: int
    deaths: list[Death] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    sweeps: int = 0
    violations: list[str] = field(default_factory=list)

    def table(self, seed: int) -> str:
        """The histogram and its totals."""
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
    """Runs one command in a folder of its own until it ends by itself, and kills it on the way.

    Args:
        words: the command after `python -m`.
        job_seconds: from a job's first step to its last artifact, to aim by.
        start_seconds: from the command to the first step of its first job.
        victim: which process to kill, given the command's.
        server: that the runs are delivered to, which others may use too; by default they go to the folder's own store.
    """

    words: tuple[str, ...]
    job_seconds: float
    start_seconds: float
    victim: Victim = itself
    server: Server | None = None

    def sweep(self, folder: Path, reference: Path, random: random.Random, tally: Tally) -> None:
        """From an empty folder to a finished sweep; what is broken is told in the tally."""
        folder.mkdir()
        state: Snapshot = {}
        while True:
            began, launched = time.monotonic(), time.time_ns()
            striking = len(tally.deaths) < tally.wanted
            status, told, death = self.command(folder, launched, random if striking else None)
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
            tally.violations.append(f"exit status {status} in {folder}: {told}")
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
        """Run the command once; returns its exit status, what it said, and how it was killed, if it was."""
        variables = {} if self.server is None else {"MLFLOW_TRACKING_URI": self.server.uri}
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", *self.words],
                cwd=folder,
                env=clean_environment() | variables,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
            try:
                death = None if random is None else self.strike(process, folder, launched, random)
                status = process.wait(PATIENCE)
            finally:
                process.kill()
        wait_for_children(process.pid)
        return status, (folder / "said").read_text()[-2000:], death

    def strike(
        self, process: "subprocess.Popen[bytes]", folder: Path, launched: int, random: random.Random
    ) -> Death | None:
        """Kill at a moment chosen at random; None where the command ended before it."""
        reached = True
        if random.random() < AT_ANY_TIME:
            delay = random.uniform(0, 1.3 * self.start_seconds)
        else:
            reached = until(process, lambda: done_step(folder, launched))
            delay = random.uniform(0, 1.1 * self.job_seconds)
            if random.random() < AT_A_WRITE:
                reached = reached and after_writes(process, folder, random.randint(1, int(1.1 * WRITES_A_JOB)))
                delay = random.choice([0.0, random.uniform(0, JITTER)])
        if not reached:
            return None
        time.sleep(delay)
        if process.poll() is not None:
            return None
        victim = self.victim(process)
        with contextlib.suppress(ProcessLookupError):  # a job that has ended meanwhile
            os.kill(victim, signal.SIGKILL)
        if victim == process.pid:
            process.wait()
        return died(folder, launched)  # at once: where a job was the victim, the others go on


def any_of_them(chance: random.Random) -> Victim:
    """The command's own process, one of its jobs, or the server that they are forked from."""

    def victim(process: "subprocess.Popen[bytes]") -> int:
        children = psutil.Process(process.pid).children(recursive=True)
        return chance.choice([process.pid, *(child.pid for child in children)])

    return victim


def until(process: "subprocess.Popen[bytes]", reached: Callable[[], bool], pause: float = 0.005) -> bool:
    """Wait until something is reached; False where the command ended before."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline, "the command hangs"
        time.sleep(pause)
    return process.poll() is None


def after_writes(process: "subprocess.Popen[bytes]", folder: Path, count: int) -> bool:
    """Wait for so many changes among the jobs' files and their copies; False where the command ended before."""
    seen, changes = entries(folder), 0

    def enough() -> bool:
        nonlocal seen, changes
        now = entries(folder)
        changes += now != seen
        seen = now
        return changes >= count

    return until(process, enough, pause=0.0003)


def entries(folder: Path) -> list[tuple[int, int]]:
    """Time of every folder of a job and of a run's artifacts, which a new or renamed file changes; size of journals.

    Cheap, because a temporary file lives for milliseconds and the machine has other things to do.
    """
    multirun = folder / "multirun"
    rooms = [*multirun.glob("jobs/*"), *multirun.glob("artifacts/*/artifacts")]
    journals = multirun.glob("jobs/*/journal.jsonl")
    return [
        *enumerate(room.stat().st_mtime_ns for room in rooms),
        *enumerate(journal.stat().st_size for journal in journals),
    ]


def wait_for_children(group: int) -> None:
    """What a killed command leaves running must end by itself, before its folder is judged."""
    deadline = time.monotonic() + 30
    while left := [process for process in psutil.process_iter() if in_group(process, group)]:
        assert time.monotonic() < deadline, f"children outlive the command: {left}"
        time.sleep(0.01)


def in_group(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def measured(reference: Path, launched: int) -> tuple[float, float]:
    """Seconds to the first step of an uninterrupted sweep, and from each job's first step to its result, on average."""
    jobs = [JobFolder(path) for path in (reference / "multirun/jobs").iterdir()]
    ready = [next(record["time"] for record in job.records() if record["kind"] == "ready") for job in jobs]
    finished = [(job.result() or {})["finished"] for job in jobs]
    lasted = [end - start for start, end in zip(ready, finished, strict=True)]
    return min(ready) / 1e3 - launched / 1e9, sum(lasted) / len(lasted) / 1e3
