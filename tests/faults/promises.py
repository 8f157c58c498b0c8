"""Check the promises after any fault and one rerun of the same command.

P1 one run per job and per sweep, none RUNNING       P4 at most one epoch computed again, finished jobs unchanged
P2 every recorded epoch in the store, once           P5 every status is true, every artifact is the folder's file
P3 the numbers of the uninterrupted run              P6 no partial and no temporary file

Reads the SQLite file and the folders directly: MLflow's client would repair some damage while reading.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from src.runs.folder import ARTIFACTS, AUGMENTED, JobFolder
from src.runs.sweep import VERDICT
from tests.faults.job_folders import (
    Snapshot,
    contents,
    epochs_in_order,
    no_temporary_files,
    progress_kept,
    same_numbers,
    snapshot,
    untouched,
    whole_files,
)
from tests.faults.stored import StoredRun, damage, read_runs

__all__ = ["Snapshot", "check_after_kill", "check_store", "snapshot"]

FINAL = ("test/loss", "test/accuracy", "test/errors", "best/val_accuracy")


def check_store(
    folder: Path,
    reference: Path | None = None,
    *,
    before: Snapshot | None = None,
    repeated: int = 0,
    artifact_root: Path | None = None,
) -> None:
    """Assert P1 to P6 after the rerun has ended and no process works in the folder.

    Args:
        folder: holds `mlflow.db` and `multirun/`.
        reference: the folder of the same command uninterrupted; without it, P3 is not checked.
        before: a `snapshot` from before the rerun; its finished jobs must be unchanged.
        repeated: how many whole epochs a job may have computed twice, for faults that damage a checkpoint.
        artifact_root: a server's folder for `mlflow-artifacts:/`.
    """
    multirun = folder / "multirun"
    damaged = readable(multirun)
    runs = read_runs(folder / "mlflow.db", artifact_root)
    # Other people's folders may deliver to the same store.  A run without an owner is a bug and is checked too.
    owners = json.loads((multirun / "identity.json").read_bytes())["id"], None
    active = [run for run in runs if run.lifecycle == "active" and run.tags.get("multirun") in owners]
    sweeps = [json.loads(path.read_bytes()) for path in sorted(multirun.glob("sweeps/*/manifest.json"))]
    jobs = {job["key"]: JobFolder(multirun / "jobs" / job["folder"]) for sweep in sweeps for job in sweep["jobs"]}
    found = [*one_run_each(active, sweeps), *damaged, *no_temporary_files(multirun)]
    if not sweeps:
        found.append("P1 there is no sweep")
    for key, job in jobs.items():
        found += labelled(job, epochs_in_order(job, repeated))
        for run in shown(active, "job", job_key=key):
            found += labelled(job, [*metrics_once(run, job), *true_status(run, job), *same_artifacts(run, job)])
        if reference is not None:
            found += labelled(job, same_numbers(job, JobFolder(reference / "multirun/jobs" / job.path.name)))
    for sweep in sweeps:
        for run in shown(active, "sweep", sweep_id=sweep["id"]):
            found += true_sweep(run, multirun / "sweeps" / sweep["id"][:8], [jobs[job["key"]] for job in sweep["jobs"]])
        if reference is not None:
            found += same_verdict(*(place / "sweeps" / sweep["id"][:8] for place in (multirun, reference / "multirun")))
    found += untouched(before or {}, snapshot(multirun))
    assert not found, report(folder, found)


def check_after_kill(multirun: Path, before: Snapshot) -> Snapshot:
    """Assert the promises that hold at every moment, also right after a SIGKILL; returns each job's progress."""
    now = snapshot(multirun)
    found = [*readable(multirun, torn_line=True), *untouched(before, now), *progress_kept(before, now)]
    for run in read_runs(multirun.parent / "mlflow.db"):
        if run.status == "FINISHED" and run.tags.get("kind") == "job" and "superseded" not in run.tags:
            for job in map(JobFolder, multirun.glob(f"jobs/*-{run.tags['job_key'][:8]}")):
                found += labelled(job, [*true_status(run, job), *metrics_once(run, job), *same_artifacts(run, job)])
    assert not found, report(multirun, found)
    return now


def readable(multirun: Path, *, torn_line: bool = False) -> list[str]:
    """P6; raises at once for a damaged manifest or result, since the other checks need them."""
    damaged = [*whole_files(multirun, torn_line=torn_line)]
    assert not any(".json: " in line for line in damaged), report(multirun, damaged)
    return damaged


def shown(runs: Iterable[StoredRun], kind: str, **tags: str) -> list[StoredRun]:
    """Return the runs of a kind with these tags that are not superseded."""
    wanted = {"kind": kind, **tags}.items()
    return [run for run in runs if wanted <= run.tags.items() and "superseded" not in run.tags]


def one_run_each(runs: list[StoredRun], sweeps: list[dict[str, Any]]) -> Iterator[str]:
    """P1."""
    expected = {("sweep", sweep["id"]): sweep["id"][:8] for sweep in sweeps}
    expected |= {("job", job["key"]): job["label"] for sweep in sweeps for job in sweep["jobs"]}
    for (kind, key), name in expected.items():
        count = len(shown(runs, kind, **{"sweep_id" if kind == "sweep" else "job_key": key}))
        if count != 1:
            yield f"P1 {kind} {name}: {count} runs instead of one"
    for job in (job for sweep in sweeps for job in sweep["jobs"]):
        for run in shown(runs, "job", job_key=job["key"]):
            if not job["params"].items() <= run.params.items():
                yield f"P1 job {job['label']}: params {run.params} instead of {job['params']}"
    for run in runs:
        if run.status not in ("FINISHED", "FAILED", "KILLED"):
            yield f"P1 run {run.name}: {run.status}, and no process works on it"
        owner = (run.tags.get("kind"), run.tags.get("job_key") or run.tags.get("sweep_id"))
        if owner not in expected and "superseded" not in run.tags:
            yield f"P1 run {run.name}: no manifest has it"


def metrics_once(run: StoredRun, job: JobFolder) -> Iterator[str]:
    """P2; a metric's row is (key, step, time, value)."""
    expected = [
        (key, record["epoch"], record["time"], value)
        for record in job.records()
        if record["kind"] == "epoch"
        for key, value in record["metrics"].items()
    ]
    result = job.result()
    if result is not None:
        expected += [(key, 0, result["finished"], round(result["metrics"][key], 4)) for key in FINAL]
    yield from difference("P2 metrics", Counter(run.metrics), Counter(expected))
    # MLflow's page reads another SQL table, which an interrupted write would leave outdated.
    newest = {row[0]: row for row in sorted(expected, key=lambda row: row[1])}
    yield from difference("P2 latest metrics", Counter(run.latest), Counter(newest.values()))


def difference(what: str, stored: Counter[Any], expected: Counter[Any]) -> Iterator[str]:
    for row in expected - stored:
        yield f"{what}: {row} is missing"
    for row in stored - expected:
        yield f"{what}: {row} is there {stored[row]} times instead of {expected[row]}"


def true_status(run: StoredRun, job: JobFolder) -> Iterator[str]:
    """P5 of a job; without result and reason, it died and counts as failed."""
    last: dict[str, Any] = next(iter(reversed(job.records())), {})
    status = "FINISHED" if job.finished else last.get("status", "FAILED")
    if run.status != status:
        yield f"P5 {run.status} instead of {status}"
    if ("error" in run.tags) != (status != "FINISHED"):
        yield f"P5 {status} {'with' if 'error' in run.tags else 'without'} a reason"


def same_artifacts(run: StoredRun, job: JobFolder) -> Iterator[str]:
    """P5 of a job's files; MLflow's page has its pictures in a separate folder."""
    names = {path.relative_to(run.artifacts).as_posix() for path in run.artifacts.rglob("*") if path.is_file()}
    images = sorted(name for name in names if name.startswith("images/"))
    if run.status == "FINISHED":
        augmentation = job.records()[0]["config"]["augmentation"]["name"]
        names |= {*ARTIFACTS, *([AUGMENTED] if augmentation != "none" else [])}
    for name in sorted(names - set(images)):
        if contents(run.artifacts / name) is None or contents(run.artifacts / name) != contents(job.path / name):
            yield f"P5 artifact {name} is not the folder's file"
    if run.status != "FINISHED":
        return
    if sorted(Path(name).suffix for name in images) != [".png", ".webp"]:
        yield f"P5 images: {len(images)} files instead of one picture and its thumbnail"
    for name in images:
        if why := damage(run.artifacts / name):
            yield f"P5 artifact {name}: {why}"
        elif name.endswith(".png") and contents(run.artifacts / name) != contents(job.path / "misclassified.png"):
            yield f"P5 artifact {name} is not the folder's picture"


def true_sweep(run: StoredRun, folder: Path, jobs: list[JobFolder]) -> Iterator[str]:
    """P5 of a sweep's own run."""
    if (run.status == "FINISHED") != all(job.finished for job in jobs):
        finished = sum(job.finished for job in jobs)
        yield f"P5 sweep {folder.name}: {run.status}, and {finished} of {len(jobs)} jobs are finished"
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if contents(run.artifacts / path.name) != contents(path):
            yield f"P5 sweep {folder.name}: artifact {path.name} is not the folder's file"


def same_verdict(folder: Path, reference: Path) -> Iterator[str]:
    """P3 of a sweep's comparison."""
    expected = contents(reference / VERDICT)
    if expected is not None and contents(folder / VERDICT) != expected:
        yield f"P3 sweep {folder.name}: the verdict is not the uninterrupted sweep's"


def labelled(job: JobFolder, found: Iterable[str]) -> list[str]:
    """Add the job's name after the promise's number."""
    return [f"{line[:2]} {job.path.name}: {line[3:]}" for line in found]


def report(folder: Path, found: list[str]) -> str:
    return "\n  ".join([f"{len(found)} broken in {folder}:", *sorted(found)])
