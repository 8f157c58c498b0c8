"""Find out from its folder what a killed command was doing."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from src.runs.folder import JobFolder
from tests.faults.stored import checkpoint_epoch, read_runs

# Numbered in the order of a sweep, for sorting.
START_UP = "1 start-up"
BEFORE_STEP = "2 before a job's first step"
EPOCH = "3 in epoch"
BEFORE_LINE = "4 between checkpoint and journal line"
TESTING = "5 testing and writing artifacts"
DELIVERING = "6 delivering"
COMPARING = "7 comparing and closing the sweep's run"


@dataclass(frozen=True)
class Death:
    """A kill: the phase, whether it fell between a job's first step and its last artifact, and its cost."""

    phase: str
    at_work: bool
    epoch_lost: bool
    temporary: bool


def died(folder: Path, launched: int) -> Death:
    """Describe the kill of the command launched at `launched`, in nanoseconds since 1970."""
    multirun = folder / "multirun"
    phase, at_work = _phase(folder, launched)
    return Death(
        phase=phase,
        at_work=at_work,
        epoch_lost=phase.startswith(EPOCH),
        temporary=any(path for room in ("jobs", "sweeps") for path in multirun.glob(f"{room}/*/.*")),
    )


def _phase(folder: Path, launched: int) -> tuple[str, bool]:
    """Return the phase of the job that started last, and whether any job was between first step and last artifact."""
    planned = planned_jobs(folder, launched)
    if not planned:  # written after the store is opened
        return START_UP, False
    keys = {job["key"]: JobFolder(folder / "multirun/jobs" / job["folder"]) for job in planned}
    shown = {run.tags.get("job_key") for run in read_runs(folder / "mlflow.db") if run.status == "FINISHED"}
    jobs = list(keys.values())
    waiting = [job for key, job in keys.items() if job.finished and key not in shown]
    started = [job for job in jobs if last_started(job) >= launched]
    current = max(started, key=last_started, default=None)
    at_work = bool(waiting) or any(stepping(job, launched) for job in started)
    if current is not None and not current.finished:
        return _part_of_a_job(current, launched), at_work
    if waiting:
        return DELIVERING, at_work
    return (COMPARING if all(job.finished for job in jobs) else BEFORE_STEP), at_work


def planned_jobs(folder: Path, launched: int) -> list[dict[str, str]]:
    """Return the jobs of the command's sweep, which with seeds=auto is its newest one; before its manifest, none."""
    manifests = {path: path.stat().st_mtime_ns for path in folder.glob("multirun/sweeps/*/manifest.json")}
    newest = max(manifests, key=lambda path: manifests[path], default=None)
    if newest is None or manifests[newest] < launched:
        return []
    jobs: list[dict[str, str]] = json.loads(newest.read_bytes())["jobs"]
    return jobs


def _part_of_a_job(job: JobFolder, launched: int) -> str:
    records = job.records()
    epochs = sum(record["kind"] == "epoch" for record in records)
    newest = 0
    for path in job.path.glob("checkpoint-*"):
        with contextlib.suppress(FileNotFoundError):  # this job may still run and remove it
            newest = max(newest, checkpoint_epoch(path) or 0)
    if not stepping(job, launched):
        return BEFORE_STEP
    if newest > epochs:
        return BEFORE_LINE
    return TESTING if epochs == records[0]["config"]["epochs"] else f"{EPOCH} {epochs + 1}"


def last_started(job: JobFolder) -> int:
    """Return when a job last started or resumed, in nanoseconds; the journal has milliseconds."""
    times = [record["time"] for record in job.records() if record["kind"] in ("start", "resume")]
    return (max(times, default=0) + 1) * 1_000_000 if times else 0


def stepping(job: JobFolder, launched: int) -> bool:
    """Whether an unfinished job has reached its first step; it always writes its configuration just before."""
    config = job.path / "config.yaml"
    written = config.stat().st_mtime_ns if config.exists() else 0
    return not job.finished and written >= max(launched, last_started(job) - 2_000_000)


def reached_step(folder: Path, launched: int) -> bool:
    """Whether the command has reached a job's first step, or has nothing left to train."""
    jobs = [folder / "multirun/jobs" / job["folder"] for job in planned_jobs(folder, launched)]
    if not jobs:
        return False
    configs = [job / "config.yaml" for job in jobs]
    if all((job / "result.json").exists() for job in jobs):
        return True
    return any(path.exists() and path.stat().st_mtime_ns >= launched for path in configs)
