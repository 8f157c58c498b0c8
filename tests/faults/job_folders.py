"""Check promises P3, P4 and P6 of `promises.py` in job and sweep folders, without a store."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.runs.folder import JobFolder
from tests.faults.stored import checkpoint_epoch, damage

SAME_BYTES = (
    "weights.safetensors",
    "predictions.npz",
    "misclassified.png",
    "misclassified_2x5.png",
    "confusion_matrix.png",
    "per_class.csv",
)


@dataclass(frozen=True)
class JobState:
    """A job's progress; for a finished job, inode and time of every file."""

    started: int | None
    epochs: int
    checkpoint: int
    files: dict[str, tuple[int, int]] | None

    @property
    def finished(self) -> bool:
        return self.files is not None


Snapshot = dict[str, JobState]


def snapshot(multirun: Path) -> Snapshot:
    """Return each job's progress, by its folder's name."""
    states = {}
    for path in sorted(multirun.glob("jobs/*")):
        job = JobFolder(path)
        records = job.records()
        files = {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in path.iterdir()}
        states[path.name] = JobState(
            started=records[0]["time"] if records else None,
            epochs=sum(record["kind"] == "epoch" for record in records),
            checkpoint=max((checkpoint_epoch(file) or 0 for file in path.glob("checkpoint-*")), default=0),
            files=files if job.finished else None,
        )
    return states


def same_numbers(job: JobFolder, reference: JobFolder) -> Iterator[str]:
    """P3; only `time/*` may differ."""
    if not reference.finished:
        return
    if not job.finished:
        yield "P3 not finished, but the uninterrupted one is"
        return
    for name in (*SAME_BYTES, "augmented.png"):  # only augmented jobs have that picture
        if contents(job.path / name) != contents(reference.path / name):
            yield f"P3 {name} is not the uninterrupted run's"
    if curves(job) != curves(reference):
        yield "P3 the curves are not the uninterrupted run's"
    if (job.result() or {})["metrics"] != (reference.result() or {})["metrics"]:
        yield "P3 the result is not the uninterrupted run's"


def contents(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def curves(job: JobFolder) -> list[Any]:
    epochs = [(record["epoch"], record["metrics"]) for record in job.records() if record["kind"] == "epoch"]
    return [(epoch, {key: metrics[key] for key in metrics if not key.startswith("time/")}) for epoch, metrics in epochs]


def epochs_in_order(job: JobFolder, repeated: int) -> Iterator[str]:
    """P4 within one job."""
    records = job.records()
    kinds = [record["kind"] for record in records]
    epochs = [record["epoch"] for record in records if record["kind"] == "epoch"]
    if epochs != list(range(1, len(epochs) + 1)):
        yield f"P4 the epochs are {epochs}"
    if job.finished and len(epochs) != (records or [{}])[0].get("config", {}).get("epochs"):
        yield f"P4 finished after {len(epochs)} epochs"
    if kinds[:1] != ["start"] or kinds.count("start") > 1 or kinds.count("ready") > 1:
        yield f"P4 the journal is {' '.join(kinds)}"
    if "epoch" in kinds and "ready" not in kinds[: kinds.index("epoch")]:
        yield "P4 an epoch is recorded before the job was ready"
    if job.finished and kinds[-1:] == ["stop"]:
        yield "P4 the journal ends with a stop, but there is a result"
    # The journal skips epochs that it already holds; the log has a line for each computed epoch.
    log = contents(job.path / "train.log") or b""
    computed = Counter(re.findall(rb"  epoch (\d+)/\d+  loss", log))
    if computed.total() - len(computed) > repeated:
        yield f"P4 computed again: {', '.join(f'epoch {int(epoch)}' for epoch in computed if computed[epoch] > 1)}"


def untouched(before: Snapshot, now: Snapshot) -> Iterator[str]:
    """P4 for jobs that were finished before."""
    for name, state in before.items():
        if state.files is None:
            continue
        files = now[name].files if name in now else None
        if files is None:
            yield f"P4 {name}: no longer finished"
        elif files != state.files:
            changed = sorted(dict(files.items() ^ state.files.items()))
            yield f"P4 {name}: finished, but changed: {', '.join(changed)}"


def progress_kept(before: Snapshot, now: Snapshot) -> Iterator[str]:
    """P4 between two moments: no epoch is lost, and at most the current one is computed again."""
    for name, then in before.items():
        state = now.get(name, JobState(None, 0, 0, None))
        if then.epochs and state.started != then.started:
            yield f"P4 {name}: restarted"
        if state.epochs < then.epochs:
            yield f"P4 {name}: progress fell from {then.epochs} epochs to {state.epochs}"
        if state.checkpoint < then.checkpoint and not state.finished:
            yield f"P4 {name}: the newest checkpoint fell from epoch {then.checkpoint} to {state.checkpoint}"
    for name, state in now.items():
        if not state.finished and state.checkpoint - state.epochs not in (0, 1):
            yield f"P4 {name}: {state.epochs} epochs in the journal, the checkpoint of epoch {state.checkpoint}"


def whole_files(multirun: Path, *, torn_line: bool = False) -> Iterator[str]:
    """P6; a journal's last line may be partial until its job resumes."""
    for path in files_of_jobs_and_sweeps(multirun):
        if not path.name.startswith(".") and (why := damage(path, torn_line=torn_line)):
            yield f"P6 {path.relative_to(multirun)}: {why}"


def no_temporary_files(multirun: Path) -> Iterator[str]:
    for path in files_of_jobs_and_sweeps(multirun):
        if path.name.startswith("."):
            yield f"P6 {path.relative_to(multirun)} is left over"


def files_of_jobs_and_sweeps(multirun: Path) -> list[Path]:
    return sorted(path for room in ("jobs", "sweeps") for path in (multirun / room).rglob("*") if path.is_file())
